// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {IAppraisalPolicy} from "#contracts/attestation/dcap/IAppraisalPolicy.sol";
import {ICollateralStore} from "#contracts/attestation/dcap/ICollateralStore.sol";
import {IDcapQuoteVerifier} from "#contracts/attestation/dcap/IDcapQuoteVerifier.sol";
import {IQuoteVerifier} from "#contracts/attestation/IQuoteVerifier.sol";

/// @title Bench
/// @notice Whole verification in one call: an empty store, all collateral, one quote. So that a test
/// can ask `eth_call` for the verdict on any combination, at any time, without a trace left behind.
contract Bench {
    struct Collateral {
        bytes rootCertificate;
        bytes rootCrl;
        bytes pckCa;
        bytes pckCrl;
        bytes tcbSigning;
        uint256 tcbSigner;
        bytes tcbInfo;
        bytes tcbInfoSignature;
        bytes qeSigning;
        uint256 qeSigner;
        bytes qeIdentity;
        bytes qeIdentitySignature;
    }

    /// @notice An appraisal policy and one entry for each of its lists.
    /// @param code Creation code of the policy without its constructor arguments.
    struct Policy {
        bytes code;
        IAppraisalPolicy.Rules rules;
        uint8 graceStatus;
        uint32 graceSeconds;
        bytes4 deniedAdvisory;
        bytes16 deniedPlatform;
        bytes16 allowedPlatform;
    }

    /// @notice Lets a policy be set up by this contract, which is its own authority.
    function canCall(address caller, address, bytes4)
        external
        view
        returns (bool isAllowed, uint32 delay)
    {
        return (caller == address(this), 0);
    }

    /// @notice As {appraise}, under a policy.
    function appraiseUnder(
        bytes memory storeCode,
        bytes memory verifierCode,
        Collateral calldata collateral,
        bytes calldata evidence,
        Policy calldata wanted
    ) external returns (IQuoteVerifier.QuoteClaims memory) {
        IDcapQuoteVerifier verifier = _verifier(storeCode, verifierCode, collateral);
        bytes memory code =
            bytes.concat(wanted.code, abi.encode(verifier, address(this), wanted.rules));
        IAppraisalPolicy policy = IAppraisalPolicy(Create2.deploy(0, 0, code));
        policy.setGrace(wanted.graceStatus, wanted.graceSeconds);
        policy.setAdvisoryDenied(wanted.deniedAdvisory, true);
        policy.setPlatformDenied(wanted.deniedPlatform, true);
        policy.setPlatformAllowed(wanted.allowedPlatform, true);
        return policy.verifyQuote(evidence);
    }

    /// @notice Uploads in the order of the rules and verifies; reverts as the contracts do.
    /// @param storeCode Creation code of the store with its constructor argument.
    /// @param verifierCode Creation code of the verifier without its constructor argument.
    function appraise(
        bytes memory storeCode,
        bytes memory verifierCode,
        Collateral calldata collateral,
        bytes calldata evidence
    ) external returns (IDcapQuoteVerifier.Appraisal memory) {
        return _verifier(storeCode, verifierCode, collateral).appraiseQuote(evidence);
    }

    function _verifier(
        bytes memory storeCode,
        bytes memory verifierCode,
        Collateral calldata collateral
    ) private returns (IDcapQuoteVerifier) {
        ICollateralStore store = ICollateralStore(Create2.deploy(0, 0, storeCode));
        store.uploadRootCertificate(collateral.rootCertificate);
        store.uploadRootCrl(collateral.rootCrl);
        store.uploadPckCa(collateral.pckCa);
        store.uploadPckCrl(collateral.pckCrl);
        store.uploadTcbSigning(collateral.tcbSigning);
        if (collateral.qeSigning.length != 0) store.uploadTcbSigning(collateral.qeSigning);
        store.uploadTcbInfo(collateral.tcbSigner, collateral.tcbInfo, collateral.tcbInfoSignature);
        store.uploadQeIdentity(
            collateral.qeSigner, collateral.qeIdentity, collateral.qeIdentitySignature
        );
        bytes memory code = bytes.concat(verifierCode, abi.encode(store));
        return IDcapQuoteVerifier(Create2.deploy(0, 0, code));
    }
}
