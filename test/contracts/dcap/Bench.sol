// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {ICollateralStore} from "#contracts/attestation/dcap/ICollateralStore.sol";
import {IDcapQuoteVerifier} from "#contracts/attestation/dcap/IDcapQuoteVerifier.sol";

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

    /// @notice Uploads in the order of the rules and verifies; reverts as the contracts do.
    /// @param storeCode Creation code of the store with its constructor argument.
    /// @param verifierCode Creation code of the verifier without its constructor argument.
    function appraise(
        bytes memory storeCode,
        bytes memory verifierCode,
        Collateral calldata collateral,
        bytes calldata evidence
    ) external returns (IDcapQuoteVerifier.Appraisal memory) {
        ICollateralStore store = ICollateralStore(Create2.deploy(0, 0, storeCode));
        store.uploadRootCertificate(collateral.rootCertificate);
        store.uploadRootCrl(collateral.rootCrl);
        store.uploadPckCa(collateral.pckCa);
        store.uploadPckCrl(collateral.pckCrl);
        store.uploadTcbSigning(collateral.tcbSigning);
        if (collateral.qeSigning.length != 0) store.uploadTcbSigning(collateral.qeSigning);
        store.uploadTcbInfo(
            collateral.tcbSigner, collateral.tcbInfo, collateral.tcbInfoSignature
        );
        store.uploadQeIdentity(
            collateral.qeSigner, collateral.qeIdentity, collateral.qeIdentitySignature
        );
        bytes memory code = bytes.concat(verifierCode, abi.encode(store));
        return IDcapQuoteVerifier(Create2.deploy(0, 0, code)).appraiseQuote(evidence);
    }
}
