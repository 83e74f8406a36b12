import { JsonFields } from './jsonFields.ts'
import { partStatuses, tcbStatuses, type PartStatus, type TcbStatus } from './tcbStatus.ts'

/**
 * Intel's statement on one family of platforms: which security versions are how good.
 *
 * @see Intel PCS API v4, `/sgx/certification/v4/tcb` and `/tdx/certification/v4/tcb`
 */
export type TcbInfo = {
  readonly id: string
  readonly version: number
  readonly issueDateUnixSeconds: number
  readonly nextUpdateUnixSeconds: number
  readonly fmspc: Uint8Array
  readonly pceId: Uint8Array
  readonly tcbType: number
  readonly evaluationDataNumber: number
  /** Identity of the first TDX module, for quotes whose module names no version. */
  readonly tdxModule: TdxModule | undefined
  readonly tdxModuleIdentities: readonly TdxModuleIdentity[]
  /** Best first; the first that a platform reaches is its level. */
  readonly levels: readonly TcbLevel[]
}

export type TdxModule = {
  readonly mrSigner: Uint8Array
  readonly attributes: Uint8Array
  readonly attributesMask: Uint8Array
}

export type TdxModuleIdentity = TdxModule & {
  /** `TDX_` and two hex digits of the module's major version. */
  readonly id: string
  readonly levels: readonly IsvLevel[]
}

export type TcbLevel = {
  readonly sgxComponents: Uint8Array
  readonly tdxComponents: Uint8Array | undefined
  readonly pceSvn: number
  readonly dateUnixSeconds: number
  readonly status: TcbStatus
  readonly advisoryIds: readonly string[]
}

export type IsvLevel = {
  readonly isvSvn: number
  readonly dateUnixSeconds: number
  readonly status: PartStatus
  readonly advisoryIds: readonly string[]
}

/** Bounds, several times what Intel publishes; a contract walks these lists. */
const maximumLevels = 64
const maximumModules = 16
const maximumAdvisories = 128

/**
 * Reads the JSON text that Intel signed. Fields that are not read here bear on nothing.
 *
 * @throws {@link InvalidDocumentError} or SyntaxError.
 */
export function parseTcbInfo(text: string): TcbInfo {
  const info = new JsonFields(JSON.parse(text), 'tcb_info')
  const id = info.text('id', 16)
  return {
    id,
    version: info.integer('version', 0, 255),
    issueDateUnixSeconds: info.time('issueDate'),
    nextUpdateUnixSeconds: info.time('nextUpdate'),
    fmspc: info.hex('fmspc', 6),
    pceId: info.hex('pceId', 2),
    tcbType: info.integer('tcbType', 0, 255),
    evaluationDataNumber: info.integer('tcbEvaluationDataNumber', 0, 0xffff_ffff),
    tdxModule: id === 'TDX' ? readModule(info.object('tdxModule')) : undefined,
    tdxModuleIdentities: info.has('tdxModuleIdentities')
      ? info.objects('tdxModuleIdentities', maximumModules).map((module) => ({
          ...readModule(module),
          id: module.text('id', 16),
          levels: readIsvLevels(module),
        }))
      : [],
    levels: info.objects('tcbLevels', maximumLevels).map((level) => readLevel(level, id)),
  }
}

/** The `tcbLevels` of a QE or TDX module identity. */
export function readIsvLevels(identity: JsonFields): IsvLevel[] {
  return identity.objects('tcbLevels', maximumLevels).map((level) => ({
    isvSvn: level.object('tcb').integer('isvsvn', 0, 0xffff),
    dateUnixSeconds: level.time('tcbDate'),
    status: level.oneOf('tcbStatus', partStatuses),
    advisoryIds: readAdvisories(level),
  }))
}

function readModule(fields: JsonFields): TdxModule {
  return {
    mrSigner: fields.hex('mrsigner', 48),
    attributes: fields.hex('attributes', 8),
    attributesMask: fields.hex('attributesMask', 8),
  }
}

function readLevel(level: JsonFields, id: string): TcbLevel {
  const tcb = level.object('tcb')
  return {
    sgxComponents: readComponents(tcb, 'sgxtcbcomponents'),
    tdxComponents: id === 'TDX' ? readComponents(tcb, 'tdxtcbcomponents') : undefined,
    pceSvn: tcb.integer('pcesvn', 0, 0xffff),
    dateUnixSeconds: level.time('tcbDate'),
    status: level.oneOf('tcbStatus', tcbStatuses),
    advisoryIds: readAdvisories(level),
  }
}

function readComponents(tcb: JsonFields, name: string): Uint8Array {
  const components = tcb.objects(name, 16)
  if (components.length !== 16) tcb.fail(name, 'does not have 16 components')
  return Uint8Array.from(components, (component) => component.integer('svn', 0, 255))
}

function readAdvisories(level: JsonFields): readonly string[] {
  return level.has('advisoryIDs') ? level.texts('advisoryIDs', maximumAdvisories) : []
}
