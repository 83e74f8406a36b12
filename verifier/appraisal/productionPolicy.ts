import { equalBytes, type Hex, utf8 } from '#schemas/bytes.ts'
import { intelRootCertificate } from '../collateral/intelRootCertificate.ts'
import type { DstackExpectations } from '../dstack/verifyDstackEvidence.ts'
import {
  developmentKeyProviderIds,
  developmentKmsRoots,
  localMrTd,
  localRootMark,
} from './developmentMarks.ts'
import { NotForProductionError } from './notForProductionError.ts'
import { expectPrepared, type QuotePolicy } from './policy.ts'

/** Everything that decides which evidence a relying party believes. */
export type ProductionSetup = {
  /** Root certificate that quotes must lead to, DER. */
  readonly rootCertificate: Uint8Array
  readonly policy: QuotePolicy
  readonly dstack: DstackExpectations
  /** Root of the key management service, where its key signatures are verified. */
  readonly kmsRoot?: Hex | undefined
}

/**
 * Refuses what is good for rehearsals only: any root but Intel's, an allow-list that is open or
 * holds the local image, no floor under the TCB evaluation number, key providers that keep no
 * secret. Debug TDs need no line here: no policy can accept one (rule `TdDebug`), and neither can a
 * guest with `no_tee`, which has no quote at all.
 *
 * @throws {@link NotForProductionError} the first setting that has to change.
 */
export function assertProduction(setup: ProductionSetup): void {
  assertProductionRoot(setup.rootCertificate)
  assertProductionPolicy(setup.policy)
  assertProductionKeys(setup.dstack)
  if (setup.kmsRoot !== undefined) assertProductionKmsRoot(setup.kmsRoot)
}

/**
 * Only Intel's own root, byte for byte. A list of forbidden ones could be passed by renaming.
 *
 * @throws {@link NotForProductionError} `LocalRoot` or `ForeignRoot`.
 */
function assertProductionRoot(rootCertificate: Uint8Array): void {
  if (equalBytes(rootCertificate, intelRootCertificate)) return
  const isLocal = bearsLocalMark(rootCertificate)
  throw new NotForProductionError(
    isLocal ? 'LocalRoot' : 'ForeignRoot',
    isLocal
      ? 'The pinned root belongs to a platform that was minted on somebody’s laptop.'
      : 'The pinned root is not Intel’s.',
    { field: 'rootCertificate', remedy: 'Pin Intel SGX Root CA and nothing else.' },
  )
}

/** Whether a certificate was minted by a local platform; anything else than one was not. */
export function bearsLocalMark(der: Uint8Array): boolean {
  const mark = utf8(localRootMark)
  for (let start = 0; start + mark.length <= der.length; start += 1) {
    if (equalBytes(der.subarray(start, start + mark.length), mark)) return true
  }
  return false
}

/**
 * @throws {@link NotForProductionError} `AnyImage`, `NoImage`, `LocalImage`, `MrConfigIdUnknown`,
 *   `SgxAccepted`, `NoEvaluationFloor` or `UnlimitedGrace`.
 */
function assertProductionPolicy(policy: QuotePolicy): void {
  expectPrepared(policy)
  if (policy.tees.has('SGX')) {
    throw new NotForProductionError('SgxAccepted', 'The policy accepts SGX enclaves.', {
      field: 'policy.tees',
      remedy: 'A worker is a trust domain: write ["TDX"].',
    })
  }
  if (policy.images === 'any') {
    throw new NotForProductionError('AnyImage', 'The policy accepts any image.', {
      field: 'policy.images',
      remedy: 'List the measurements that `plumbline image measure` names.',
    })
  }
  if (policy.images.size === 0) {
    throw new NotForProductionError('NoImage', 'The policy accepts no image at all.', {
      field: 'policy.images',
      remedy: 'List the measurements that `plumbline image measure` names.',
    })
  }
  for (const [key, name] of policy.images) {
    // Of the form MRTD:RTMR0:RTMR1:RTMR2:MRCONFIGID, see imageKey.
    const [mrTd, , , , mrConfigId = ''] = key.split(':')
    if (`0x${mrTd}` === localMrTd) {
      throw new NotForProductionError('LocalImage', `Image ${name} is the local platform’s.`, {
        field: 'policy.images',
        remedy: 'Leave it out: nobody measured it.',
      })
    }
    if (!/^0[123]/.test(mrConfigId)) {
      throw new NotForProductionError(
        'MrConfigIdUnknown',
        `Image ${name} has an MRCONFIGID of no known version.`,
        { field: 'policy.images', remedy: 'It begins with 01, 02 or 03 on a current dstack host.' },
      )
    }
  }
  if (policy.minimumEvaluationDataNumber === 0 || policy.minimumQeEvaluationDataNumber === 0) {
    throw new NotForProductionError(
      'NoEvaluationFloor',
      'The policy sets no floor under the TCB evaluation data number.',
      {
        field: 'policy.tcb.minimumEvaluationDataNumber',
        remedy: 'Write the number of the last TCB recovery that counts, for TCB info and QE.',
      },
    )
  }
  for (const [status, graceDays] of policy.graceDays) {
    if (status === 'UpToDate' || status === 'SWHardeningNeeded' || graceDays !== null) continue
    throw new NotForProductionError(
      'UnlimitedGrace',
      `The policy accepts ${status} platforms for ever.`,
      {
        field: `policy.tcb.acceptedStatuses.${status}`,
        remedy: 'Give the operator a number of days.',
      },
    )
  }
}

/**
 * @throws {@link NotForProductionError} `AnyKeyProvider`, `DevelopmentKeyProvider` or
 *   `ZeroMrConfigIdAccepted`.
 */
function assertProductionKeys({ keyProviders, zeroMrConfigId }: DstackExpectations): void {
  const field = 'expectations.keyProviders'
  if (keyProviders === 'any' || keyProviders.length === 0) {
    throw new NotForProductionError('AnyKeyProvider', 'The key provider is not pinned.', {
      field,
      remedy: 'Name the production KMS by the id that its key-provider event carries.',
    })
  }
  for (const { name, id } of keyProviders) {
    if (name === 'kms' && id !== '' && !developmentKeyProviderIds.includes(id)) continue
    throw new NotForProductionError(
      'DevelopmentKeyProvider',
      'A key provider is allowed that keeps no secret from the host or from the public.',
      {
        field,
        metaMessages: [`Provider: ${name} ${id}`],
        remedy: 'Allow the production KMS only.',
      },
    )
  }
  if (zeroMrConfigId === 'accept') {
    throw new NotForProductionError(
      'ZeroMrConfigIdAccepted',
      'Guests are accepted whose host did not bind the application.',
      {
        field: 'expectations.zeroMrConfigId',
        remedy: 'Write "refuse" and deploy on dstack 0.5.4 or later.',
      },
    )
  }
}

/** @throws {@link NotForProductionError} `DevelopmentKmsRoot`. */
export function assertProductionKmsRoot(kmsRoot: Hex): void {
  if (!developmentKmsRoots.includes(kmsRoot.toLowerCase() as Hex)) return
  throw new NotForProductionError(
    'DevelopmentKmsRoot',
    'The secret of this KMS root is published: anybody can derive its keys.',
    {
      field: 'kmsRoot',
      metaMessages: [`Root: ${kmsRoot}`],
      remedy: 'Pin the root of the production KMS (kmsInfo.k256Pubkey of its contract).',
    },
  )
}
