// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Registries and one settlement contract in one, without any of their checks except order and once:
/// enough to rehearse thousands of settlements against faults in seconds. Tests that are about the
/// contracts use the contracts.
contract StandIn {
    struct Report {
        uint16 version;
        bytes32 subject;
        bytes32 policyId;
        uint64 periodStartMs;
        uint64 periodEndMs;
        uint8 verdict;
        int128 valueMicro;
        bytes32 unit;
        uint32 coveragePpm;
        uint8 tier;
        bytes32 evidenceRoot;
        bytes32 measuresHash;
        bytes32 exclusiveTo;
        bytes32 amends;
    }
    struct Batch {
        bytes32 stream;
        uint64 sequence;
        bytes32 previous;
        bytes32 reportRoot;
        uint32 reportCount;
        bytes32 rosterRoot;
        uint32 rosterCount;
        uint64 closedAtMs;
        uint64 anchorNumber;
        bytes32 anchorHash;
    }
    struct Statement {
        uint16 version;
        address signer;
        bytes32 ed25519PublicKey;
        bytes32 stream;
        bytes32 release;
        uint256 anchorChainId;
        address registry;
    }
    struct Inclusion {
        bytes32 stream;
        uint64 sequence;
        uint32 index;
        bytes32[] path;
    }

    error StandInOutOfOrder(uint64 expected, uint64 actual);
    error StandInSignerUnknown();
    error StandInSettledBefore(bytes32 leaf);
    error StandInRefused(uint256 agreementId);
    error StandInNotAnchored(uint64 head);

    event Settled(uint256 indexed agreementId, bytes32 indexed leaf);

    /// Agreements from here on refuse every report: poison.
    uint256 public constant POISON = 1_000_000;

    mapping(address => uint64) private _expiresAt;
    mapping(address => bytes32) private _streamOf;
    mapping(bytes32 => uint64) private _sequence;
    mapping(bytes32 => bytes32) private _digest;
    mapping(uint256 => mapping(bytes32 => bool)) private _settled;
    /// Settlements that went through; equals the number of distinct ones or something is wrong.
    uint256 public settlements;
    /// Calls of settle that came for something settled already: gas wasted.
    uint256 public wasted;

    function register(Statement calldata statement, uint64, bytes calldata, bytes calldata) external {
        _streamOf[statement.signer] = statement.stream;
        _expiresAt[statement.signer] = uint64(block.timestamp + 7 days);
    }

    function signerStatus(address signer) external view returns (bytes32, bytes32, uint64) {
        return (_streamOf[signer], bytes32(0), _expiresAt[signer]);
    }

    function commit(Batch calldata batch, bytes calldata signature) external {
        if (batch.sequence != _sequence[batch.stream] + 1) {
            revert StandInOutOfOrder(_sequence[batch.stream] + 1, batch.sequence);
        }
        bytes32 digest = _digestOf(batch);
        (bytes32 r, bytes32 s) = abi.decode(signature[:64], (bytes32, bytes32));
        address signer = ecrecover(digest, uint8(signature[64]), r, s);
        if (_expiresAt[signer] <= block.timestamp) revert StandInSignerUnknown();
        _sequence[batch.stream] = batch.sequence;
        _digest[batch.stream] = digest;
    }

    function _digestOf(Batch calldata batch) private pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version)"),
                keccak256("Plumbline"),
                keccak256("1")
            )
        );
        bytes32 typeHash = keccak256(
            "Batch(bytes32 stream,uint64 sequence,bytes32 previous,bytes32 reportRoot,uint32 reportCount,bytes32 rosterRoot,uint32 rosterCount,uint64 closedAtMs,uint64 anchorNumber,bytes32 anchorHash)"
        );
        return keccak256(
            abi.encodePacked(bytes2(0x1901), domain, keccak256(abi.encode(typeHash, batch)))
        );
    }

    function head(bytes32 stream) external view returns (uint64, bytes32) {
        return (_sequence[stream], _digest[stream]);
    }

    function settle(uint256 agreementId, Report calldata report, Inclusion calldata inclusion)
        external
    {
        if (agreementId >= POISON) revert StandInRefused(agreementId);
        if (_sequence[inclusion.stream] < inclusion.sequence) {
            revert StandInNotAnchored(_sequence[inclusion.stream]);
        }
        bytes32 leaf = keccak256(
            abi.encode(
                keccak256(
                    "Report(uint16 version,bytes32 subject,bytes32 policyId,uint64 periodStartMs,uint64 periodEndMs,uint8 verdict,int128 valueMicro,bytes32 unit,uint32 coveragePpm,uint8 tier,bytes32 evidenceRoot,bytes32 measuresHash,bytes32 exclusiveTo,bytes32 amends)"
                ),
                report
            )
        );
        if (_settled[agreementId][leaf]) {
            // Counted instead of reverted, so that a test sees what was wasted.
            ++wasted;
            return;
        }
        _settled[agreementId][leaf] = true;
        ++settlements;
        emit Settled(agreementId, leaf);
    }

    struct MultiInclusion {
        bytes32 stream;
        uint64 sequence;
        uint32[] indices;
        bytes32[] proof;
    }

    function settleMany(
        uint256[] calldata agreementIds,
        Report[] calldata reports,
        MultiInclusion calldata inclusion
    ) external returns (uint256 settledCount) {
        Inclusion memory single = Inclusion(inclusion.stream, inclusion.sequence, 0, new bytes32[](0));
        for (uint256 i = 0; i < reports.length; ++i) {
            // As the contracts do: an entry must not fail for want of gas.
            require(gasleft() > 200_000);
            try this.settle(agreementIds[i], reports[i], single) {
                ++settledCount;
            } catch {}
        }
    }

    function isSettled(uint256 agreementId, bytes32 leaf) external view returns (bool) {
        return _settled[agreementId][leaf];
    }
}
