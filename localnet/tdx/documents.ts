/** TCB statuses as Intel writes them. @see Intel PCS API v4, TcbInfo and QEIdentity */
export const tcbStatuses = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const

export type TcbStatus = (typeof tcbStatuses)[number]

export type SvnComponent = {
  readonly svn: number
  readonly category?: string
  readonly type?: string
}

/** One row of `tcbLevels`, written in the property order of Intel's answers. */
export type TcbLevel = {
  readonly tcb: {
    readonly sgxtcbcomponents: readonly SvnComponent[]
    readonly pcesvn: number
    readonly tdxtcbcomponents: readonly SvnComponent[]
  }
  readonly tcbDate: string
  readonly tcbStatus: TcbStatus
  readonly advisoryIDs?: readonly string[]
}

export type IsvTcbLevel = {
  readonly tcb: { readonly isvsvn: number }
  readonly tcbDate: string
  readonly tcbStatus: TcbStatus
  readonly advisoryIDs?: readonly string[]
}

export type TdxModule = {
  readonly mrsigner: string
  readonly attributes: string
  readonly attributesMask: string
}

export type TdxModuleIdentity = { readonly id: string } & TdxModule & {
    readonly tcbLevels: readonly IsvTcbLevel[]
  }

/** `tcbInfo` of `/tdx/certification/v4/tcb`. */
export type TcbInfo = {
  readonly id: string
  readonly version: number
  readonly issueDate: string
  readonly nextUpdate: string
  readonly fmspc: string
  readonly pceId: string
  readonly tcbType: number
  readonly tcbEvaluationDataNumber: number
  readonly tdxModule?: TdxModule
  readonly tdxModuleIdentities?: readonly TdxModuleIdentity[]
  readonly tcbLevels: readonly TcbLevel[]
}

/** `enclaveIdentity` of `/tdx/certification/v4/qe/identity`. */
export type QeIdentity = {
  readonly id: string
  readonly version: number
  readonly issueDate: string
  readonly nextUpdate: string
  readonly tcbEvaluationDataNumber: number
  readonly miscselect: string
  readonly miscselectMask: string
  readonly attributes: string
  readonly attributesMask: string
  readonly mrsigner: string
  readonly isvprodid: number
  readonly tcbLevels: readonly IsvTcbLevel[]
}

const sgxLabels: readonly Omit<SvnComponent, 'svn'>[] = [
  { category: 'BIOS', type: 'Early Microcode Update' },
  { category: 'OS/VMM', type: 'SGX Late Microcode Update' },
  { category: 'OS/VMM', type: 'TXT SINIT' },
  { category: 'BIOS' },
  { category: 'BIOS' },
  { category: 'BIOS' },
  {},
  { category: 'OS/VMM', type: 'SEAMLDR ACM' },
]

const tdxLabels: readonly Omit<SvnComponent, 'svn'>[] = [
  { category: 'OS/VMM', type: 'TDX Module' },
  { category: 'OS/VMM', type: 'TDX Module' },
  { category: 'OS/VMM', type: 'TDX Late Microcode Update' },
]

/** Sixteen components from the leading security versions; the rest are zero. */
export function sgxComponents(...svns: readonly number[]): SvnComponent[] {
  return components(svns, sgxLabels)
}

export function tdxComponents(...svns: readonly number[]): SvnComponent[] {
  return components(svns, tdxLabels)
}

function components(svns: readonly number[], labels: readonly Omit<SvnComponent, 'svn'>[]) {
  return Array.from({ length: 16 }, (_, index) => ({ svn: svns[index] ?? 0, ...labels[index] }))
}

/** An instant as Intel writes it: whole seconds, `Z`. */
export function toInstant(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z')
}
