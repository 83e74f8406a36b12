import { expect, it } from 'vitest'
import { createCertificateAuthority } from '#localnet/agent/raTls.ts'
import { createAppKeys } from '#localnet/agent/keys.ts'
import { localOrganization } from '#localnet/tdx/blueprint.ts'
import { localMrTd as mintedMrTd } from '#localnet/tdx/image.ts'
import { developmentSeed } from '#localnet/tdx/keys.ts'
import { toHex } from '#schemas/bytes.ts'
import {
  developmentKeyProviderIds,
  developmentKmsRoots,
  localMrTd,
  localRootMark,
} from '#verifier/appraisal/developmentMarks.ts'

it('the verifier knows the local platform by the marks that it really bears', () => {
  expect(localRootMark).toBe(localOrganization)
  expect(localMrTd).toBe(toHex(mintedMrTd))
  const { rootPublicKey } = createAppKeys(developmentSeed, new Uint8Array(20))
  expect(developmentKmsRoots).toContain(toHex(rootPublicKey))
  const { kmsCaKey } = createCertificateAuthority(developmentSeed)
  expect(developmentKeyProviderIds).toContain(Buffer.from(kmsCaKey).toString('hex'))
})
