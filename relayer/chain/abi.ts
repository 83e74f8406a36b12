import { parseAbi } from 'viem'

/** The calls a relayer makes. Struct fields stand in the ground floor's order, which is the ABI's. */

const structs = [
  'struct Report { uint16 version; bytes32 subject; bytes32 policyId; uint64 periodStartMs; uint64 periodEndMs; uint8 verdict; int128 valueMicro; bytes32 unit; uint32 coveragePpm; uint8 tier; bytes32 evidenceRoot; bytes32 measuresHash; bytes32 exclusiveTo; bytes32 amends; }',
  'struct Batch { bytes32 stream; uint64 sequence; bytes32 previous; bytes32 reportRoot; uint32 reportCount; bytes32 rosterRoot; uint32 rosterCount; uint64 closedAtMs; uint64 anchorNumber; bytes32 anchorHash; }',
  'struct Statement { uint16 version; address signer; bytes32 ed25519PublicKey; bytes32 stream; bytes32 release; uint256 anchorChainId; address registry; }',
  'struct Inclusion { bytes32 stream; uint64 sequence; uint32 index; bytes32[] path; }',
] as const

export const enclaveRegistryAbi = parseAbi([
  ...structs,
  'function register(Statement statement, uint64 blockNumber, bytes possession, bytes evidence)',
  'function signerStatus(address signer) view returns (bytes32 stream, bytes32 imageId, uint64 expiresAt)',
])

export const proofRegistryAbi = parseAbi([
  ...structs,
  'function commit(Batch batch, bytes signature)',
  'function head(bytes32 stream) view returns (uint64 sequence, bytes32 digest)',
])

export const reportConsumerAbi = parseAbi([
  ...structs,
  'event ReportSettled(uint256 indexed agreementId, bytes32 indexed leaf, address indexed beneficiary, uint256 amount)',
  'function settle(uint256 agreementId, Report report, Inclusion inclusion)',
  'function isSettled(uint256 agreementId, bytes32 leaf) view returns (bool)',
])
