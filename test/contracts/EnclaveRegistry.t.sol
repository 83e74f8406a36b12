// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IEnclaveRegistry} from "#contracts/attestation/IEnclaveRegistry.sol";
import {IQuoteVerifier} from "#contracts/attestation/IQuoteVerifier.sol";
import {EnclaveRegistry} from "#contracts/attestation/EnclaveRegistry.sol";
import {LocalnetQuoteVerifier} from "#contracts/localnet/LocalnetQuoteVerifier.sol";
import {Statement} from "#contracts/proofs/Types.sol";
import {Measurements, Quotes} from "./support/Quotes.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice A quote verifier whose platform can be of any kind: what the localnet's one never is.
contract OpenVerifier is IQuoteVerifier {
    function verifyQuote(bytes calldata evidence) external pure returns (QuoteClaims memory) {
        return abi.decode(evidence, (QuoteClaims));
    }
}

contract EnclaveRegistryTest is World {
    uint256 private constant KEY = 0xBEEF;

    function setUp() public {
        build();
    }

    /// @dev All four arguments of a registration that succeeds, for tests to spoil one of.
    struct Application {
        Statement statement;
        uint64 number;
        bytes possession;
        bytes evidence;
    }

    function _application(uint256 key, bytes32 stream)
        private
        returns (Application memory application)
    {
        application.statement = statementOf(key, stream);
        return _complete(key, application.statement, Quotes.honest());
    }

    function _complete(uint256 key, Statement memory statement, Measurements memory measured)
        private
        returns (Application memory application)
    {
        (uint64 number, bytes32 hash) = recentBlock();
        return Application({
            statement: statement,
            number: number,
            possession: signed(key, hasher.possession(statement)),
            evidence: Quotes.mint(measured, hasher.statement(statement), hash)
        });
    }

    function _register(Application memory a) private {
        enclaves.register(a.statement, a.number, a.possession, a.evidence);
    }

    function test_register_keyIsValidForSevenDays() public {
        Application memory application = _application(KEY, STREAM);
        vm.expectEmit(address(enclaves));
        emit IEnclaveRegistry.EnclaveRegistered(
            vm.addr(KEY), STREAM, Quotes.imageId(Quotes.honest()), uint64(START + 7 days)
        );
        _register(application);
        (bytes32 stream, bytes32 imageId, uint64 expiresAt) = enclaves.signerStatus(vm.addr(KEY));
        vm.assertEq(stream, STREAM);
        vm.assertEq(imageId, Quotes.imageId(Quotes.honest()));
        vm.assertEq(expiresAt, START + 7 days);
        vm.warp(START + 7 days - 1);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
        vm.warp(START + 7 days);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), bytes32(0));
    }

    function test_register_anyoneMaySend() public {
        Application memory application = _application(KEY, STREAM);
        vm.prank(RELAYER);
        _register(application);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
    }

    function test_register_again_renews() public {
        _register(_application(KEY, STREAM));
        vm.warp(START + 6 days);
        vm.roll(5_000);
        _register(_application(KEY, STREAM));
        (,, uint64 expiresAt) = enclaves.signerStatus(vm.addr(KEY));
        vm.assertEq(expiresAt, START + 13 days);
    }

    function test_register_unknownVersion_reverts() public {
        Statement memory statement = statementOf(KEY, STREAM);
        statement.version = 2;
        Application memory application = _complete(KEY, statement, Quotes.honest());
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaveRegistry.EnclaveRegistryVersionUnknown.selector, 2)
        );
        _register(application);
    }

    function test_register_statementForAnotherChain_reverts() public {
        Statement memory statement = statementOf(KEY, STREAM);
        statement.anchorChainId = 1;
        Application memory application = _complete(KEY, statement, Quotes.honest());
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaveRegistry.EnclaveRegistryWrongChain.selector, 1, CHAIN)
        );
        _register(application);
    }

    function test_register_statementForAnotherRegistry_reverts() public {
        Statement memory statement = statementOf(KEY, STREAM);
        statement.registry = address(1);
        Application memory application = _complete(KEY, statement, Quotes.honest());
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryWrongRegistry.selector,
                address(1),
                address(enclaves)
            )
        );
        _register(application);
    }

    function test_register_withoutStream_reverts() public {
        Application memory application = _application(KEY, 0);
        vm.expectRevert(IEnclaveRegistry.EnclaveRegistryStreamMissing.selector);
        _register(application);
    }

    function test_register_possessionByAnotherKey_reverts() public {
        Application memory application = _application(KEY, STREAM);
        application.possession = signed(OTHER_KEY, hasher.possession(application.statement));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryPossessionUnproven.selector,
                vm.addr(KEY),
                vm.addr(OTHER_KEY)
            )
        );
        _register(application);
    }

    function test_register_possessionWithHighS_reverts() public {
        Application memory application = _application(KEY, STREAM);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, hasher.possession(application.statement));
        uint256 order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
        bytes32 high = bytes32(order - uint256(s));
        application.possession = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, high));
        _register(application);
    }

    function test_register_quoteForAnotherStatement_reverts() public {
        Application memory application = _application(KEY, STREAM);
        Application memory other = _application(KEY, keccak256("another stream"));
        application.evidence = other.evidence;
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryStatementMismatch.selector,
                hasher.statement(other.statement),
                hasher.statement(application.statement)
            )
        );
        _register(application);
    }

    function test_register_quoteAgainstAnotherBlock_reverts() public {
        Application memory application = _application(KEY, STREAM);
        bytes32 actual = keccak256("another block");
        vm.setBlockhash(application.number, actual);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryBlockMismatch.selector,
                keccak256(abi.encode("block", application.number)),
                actual
            )
        );
        _register(application);
    }

    function test_register_futureBlock_reverts() public {
        Application memory application = _application(KEY, STREAM);
        application.number = uint64(block.number);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryBlockUnknown.selector, block.number, block.number
            )
        );
        _register(application);
    }

    function test_register_blockOlderThanTheHistory_reverts() public {
        Application memory application = _application(KEY, STREAM);
        vm.roll(block.number + 8_192);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryBlockUnknown.selector,
                application.number,
                block.number
            )
        );
        _register(application);
    }

    /// @dev EIP-2935: the history contract answers for blocks that BLOCKHASH has forgotten.
    function test_register_blockInTheHistory_isFresh() public {
        Application memory application = _application(KEY, STREAM);
        bytes32 hash = keccak256(abi.encode("block", application.number));
        vm.roll(block.number + 300);
        // Answers every question with this hash: PUSH32 hash PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
        vm.etch(
            0x0000F90827F1C53a10cb7A02335B175320002935,
            abi.encodePacked(hex"7f", hash, hex"5f5260205ff3")
        );
        _register(application);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
    }

    function test_register_unlistedImage_reverts() public {
        Measurements memory measured = Quotes.honest();
        measured.mrConfigId = keccak256("another compose file");
        Application memory application = _complete(KEY, statementOf(KEY, STREAM), measured);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryImageNotAllowed.selector,
                Quotes.imageId(measured),
                0
            )
        );
        _register(application);
    }

    function test_allowImage_isAllowedOnlyAfterTheDelay() public {
        Measurements memory measured = Quotes.honest();
        measured.rtmr = keccak256("next kernel");
        bytes32 imageId = Quotes.imageId(measured);
        enclaves.allowImage(imageId);
        vm.assertEq(enclaves.imageActiveFrom(imageId), START + 2 days);
        vm.warp(START + 2 days - 1);
        Application memory application = _complete(KEY, statementOf(KEY, STREAM), measured);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryImageNotAllowed.selector, imageId, START + 2 days
            )
        );
        _register(application);
        vm.warp(START + 2 days);
        _register(application);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
    }

    function test_allowImage_listedAlready_reverts() public {
        bytes32 imageId = Quotes.imageId(Quotes.honest());
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryImageListed.selector, imageId, START
            )
        );
        enclaves.allowImage(imageId);
    }

    function test_removeImage_itsKeysAreInvalidAtOnceAndStaySo() public {
        bytes32 imageId = Quotes.imageId(Quotes.honest());
        enclaves.removeImage(imageId);
        address signer = vm.addr(ENCLAVE_KEY);
        vm.assertEq(enclaves.validStreamOf(signer), bytes32(0));
        (bytes32 stream,, uint64 expiresAt) = enclaves.signerStatus(signer);
        vm.assertEq(stream, bytes32(0));
        vm.assertEq(expiresAt, 0);
        // Listing the image again does not bring back what was attested before.
        enclaves.allowImage(imageId);
        vm.warp(START + 2 days);
        vm.assertEq(enclaves.validStreamOf(signer), bytes32(0));
        registerEnclave(ENCLAVE_KEY, STREAM);
        vm.assertEq(enclaves.validStreamOf(signer), STREAM);
    }

    function test_removeImage_unknown_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryImageUnknown.selector, bytes32("none")
            )
        );
        enclaves.removeImage("none");
    }

    function test_removeImage_twice_reverts() public {
        bytes32 imageId = Quotes.imageId(Quotes.honest());
        enclaves.removeImage(imageId);
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaveRegistry.EnclaveRegistryImageUnknown.selector, imageId)
        );
        enclaves.removeImage(imageId);
    }

    function test_revoke_isAtOnceAndForEver() public {
        address signer = vm.addr(ENCLAVE_KEY);
        vm.expectEmit(address(enclaves));
        emit IEnclaveRegistry.EnclaveRevoked(signer);
        enclaves.revoke(signer);
        vm.assertEq(enclaves.validStreamOf(signer), bytes32(0));
        (bytes32 stream,,,, bool isRevoked) = enclaves.signerRecord(signer);
        vm.assertEq(stream, STREAM);
        vm.assertTrue(isRevoked);
        Application memory application = _application(ENCLAVE_KEY, STREAM);
        vm.expectRevert(
            abi.encodeWithSelector(IEnclaveRegistry.EnclaveRegistrySignerRevoked.selector, signer)
        );
        _register(application);
    }

    function test_revoke_unknownKey_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistrySignerUnknown.selector, address(1)
            )
        );
        enclaves.revoke(address(1));
    }

    function test_revoke_twice_reverts() public {
        enclaves.revoke(vm.addr(ENCLAVE_KEY));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistrySignerRevoked.selector, vm.addr(ENCLAVE_KEY)
            )
        );
        enclaves.revoke(vm.addr(ENCLAVE_KEY));
    }

    function test_register_sameKeyForAnotherStream_reverts() public {
        Application memory application = _application(ENCLAVE_KEY, keccak256("another stream"));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistrySignerBound.selector,
                vm.addr(ENCLAVE_KEY),
                STREAM,
                Quotes.imageId(Quotes.honest())
            )
        );
        _register(application);
    }

    function test_register_sameKeyInAnotherImage_reverts() public {
        Measurements memory measured = Quotes.honest();
        measured.rtmr = keccak256("next kernel");
        enclaves.allowImage(Quotes.imageId(measured));
        vm.warp(START + 2 days);
        Application memory application =
            _complete(ENCLAVE_KEY, statementOf(ENCLAVE_KEY, STREAM), measured);
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistrySignerBound.selector,
                vm.addr(ENCLAVE_KEY),
                STREAM,
                Quotes.imageId(Quotes.honest())
            )
        );
        _register(application);
    }

    // --- what a platform must show, with a verifier that can say anything ---

    function _openRegistry() private returns (EnclaveRegistry open) {
        bytes32[] memory images = new bytes32[](1);
        images[0] = Quotes.imageId(Quotes.honest());
        open = new EnclaveRegistry(new OpenVerifier(), address(authority), 2 days, images);
        enclaves = open;
    }

    function _claims(uint8 status, uint32 evaluation, uint64 validUntil)
        private
        returns (Application memory application)
    {
        application = _application(KEY, STREAM);
        (, bytes32 hash) = recentBlock();
        application.evidence = abi.encode(
            IQuoteVerifier.QuoteClaims({
                reportDataHigh: hasher.statement(application.statement),
                reportDataLow: hash,
                imageId: Quotes.imageId(Quotes.honest()),
                ppid: "platform",
                tcbStatus: status,
                evaluationNumber: evaluation,
                validUntil: validUntil
            })
        );
    }

    function test_register_expiresWithTheCollateral() public {
        _openRegistry();
        _register(_claims(0, 0, uint64(START + 1 days)));
        (,, uint64 expiresAt) = enclaves.signerStatus(vm.addr(KEY));
        vm.assertEq(expiresAt, START + 1 days);
    }

    function test_register_expiredCollateral_reverts() public {
        _openRegistry();
        Application memory application = _claims(0, 0, uint64(START));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryCollateralExpired.selector, START, START
            )
        );
        _register(application);
    }

    function testFuzz_register_onlyAcceptedStatuses(uint8 status, uint16 accepted) public {
        _openRegistry();
        enclaves.setAppraisal(accepted, 0, false);
        Application memory application = _claims(status, 0, uint64(START + 1 days));
        if (status < 16 && accepted >> status & 1 == 1) {
            _register(application);
            vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
            return;
        }
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryTcbStatusRefused.selector, status, accepted
            )
        );
        _register(application);
    }

    function test_register_evaluationBelowTheFloor_reverts() public {
        _openRegistry();
        enclaves.tightenAppraisal(1, 20, false);
        Application memory application = _claims(0, 19, uint64(START + 1 days));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryEvaluationTooOld.selector, 19, 20
            )
        );
        _register(application);
    }

    function test_register_deniedPlatform_reverts() public {
        _openRegistry();
        enclaves.setPlatformDenied("platform", true);
        Application memory application = _claims(0, 0, uint64(START + 1 days));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryPlatformDenied.selector, bytes16("platform")
            )
        );
        _register(application);
    }

    function test_register_unlistedPlatformWhereTheListIsRequired_reverts() public {
        _openRegistry();
        enclaves.tightenAppraisal(1, 0, true);
        Application memory application = _claims(0, 0, uint64(START + 1 days));
        vm.expectRevert(
            abi.encodeWithSelector(
                IEnclaveRegistry.EnclaveRegistryPlatformNotAllowed.selector, bytes16("platform")
            )
        );
        _register(application);
        enclaves.setPlatformAllowed("platform", true);
        _register(application);
        vm.assertEq(enclaves.validStreamOf(vm.addr(KEY)), STREAM);
    }

    function testFuzz_tightenAppraisal_neverLoosens(
        uint16 acceptedBefore,
        uint32 floorBefore,
        bool listBefore,
        uint16 accepted,
        uint32 floor,
        bool list
    ) public {
        enclaves.setAppraisal(acceptedBefore, floorBefore, listBefore);
        bool loosens =
            accepted & ~acceptedBefore != 0 || floor < floorBefore || (listBefore && !list);
        if (loosens) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IEnclaveRegistry.EnclaveRegistryAppraisalLoosened.selector,
                    accepted,
                    floor,
                    list
                )
            );
        }
        enclaves.tightenAppraisal(accepted, floor, list);
        (uint16 acceptedNow, uint32 floorNow, bool listNow) = enclaves.appraisal();
        vm.assertEq(acceptedNow, loosens ? acceptedBefore : accepted);
        vm.assertEq(floorNow, loosens ? floorBefore : floor);
        vm.assertEq(listNow, loosens ? listBefore : list);
    }

    function testFuzz_restricted_strangersAreRefused(address stranger) public {
        vm.assume(stranger != address(this) && stranger != address(authority));
        bytes memory refusal =
            abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refusal);
        enclaves.revoke(address(1));
        vm.expectRevert(refusal);
        enclaves.allowImage("image");
        vm.expectRevert(refusal);
        enclaves.removeImage("image");
        vm.expectRevert(refusal);
        enclaves.setPlatformDenied("ppid", true);
        vm.expectRevert(refusal);
        enclaves.setPlatformAllowed("ppid", true);
        vm.expectRevert(refusal);
        enclaves.setAppraisal(1, 0, false);
        vm.expectRevert(refusal);
        enclaves.tightenAppraisal(1, 0, false);
        vm.stopPrank();
    }

    // --- the localnet's quote verifier ---

    function testFuzz_localnetVerifier_publicChain_isNotBorn(uint64 chain) public {
        vm.assume(chain != 0 && (chain < 31_337 || chain > 31_399));
        vm.chainId(chain);
        vm.expectRevert(
            abi.encodeWithSelector(
                LocalnetQuoteVerifier.LocalnetQuoteVerifierPublicChain.selector, chain
            )
        );
        new LocalnetQuoteVerifier(0, 0);
    }

    function test_localnetVerifier_readsEveryClaim() public view {
        Measurements memory measured = Quotes.honest();
        IQuoteVerifier.QuoteClaims memory claims =
            quotes.verifyQuote(Quotes.mint(measured, "high", "low"));
        vm.assertEq(claims.reportDataHigh, bytes32("high"));
        vm.assertEq(claims.reportDataLow, bytes32("low"));
        vm.assertEq(claims.imageId, Quotes.imageId(measured));
        vm.assertEq(claims.tcbStatus, 0);
        vm.assertEq(claims.validUntil, START + 30 days);
    }

    function testFuzz_localnetVerifier_oneChangedByteIsRefused(uint256 position, uint8 change)
        public
        view
    {
        bytes memory quote = Quotes.mint(Quotes.honest(), "high", "low");
        // The length field after the signed part says nothing that is used.
        position = bound(position, 0, quote.length - 1);
        vm.assume(change != 0 && (position < 632 || position > 635));
        quote[position] = bytes1(uint8(quote[position]) ^ change);
        try quotes.verifyQuote(quote) {
            vm.assertTrue(false, "a changed quote was accepted");
        } catch (bytes memory reason) {
            vm.assertGt(reason.length, 3);
        }
    }

    function test_localnetVerifier_debuggableDomain_reverts() public {
        Measurements memory measured = Quotes.honest();
        measured.firstAttribute = 0x01;
        bytes memory quote = Quotes.mint(measured, "high", "low");
        vm.expectRevert(
            abi.encodeWithSelector(
                LocalnetQuoteVerifier.LocalnetQuoteVerifierDebug.selector, bytes8(hex"01")
            )
        );
        quotes.verifyQuote(quote);
    }

    function test_localnetVerifier_otherPlatform_reverts() public {
        bytes memory quote = Quotes.sign(
            abi.encodePacked(Quotes.header(), Quotes.body(Quotes.honest(), "high", "low")), 0xBAD
        );
        (uint256 x, uint256 y) = vm.publicKeyP256(0xBAD);
        vm.expectRevert(
            abi.encodeWithSelector(
                LocalnetQuoteVerifier.LocalnetQuoteVerifierUnknownPlatform.selector, x, y
            )
        );
        quotes.verifyQuote(quote);
    }

    function test_localnetVerifier_tooShort_reverts() public {
        vm.expectRevert(
            abi.encodeWithSelector(
                LocalnetQuoteVerifier.LocalnetQuoteVerifierTooShort.selector, 763, 764
            )
        );
        quotes.verifyQuote(new bytes(763));
    }

    function test_localnetVerifier_headers_revertByName() public {
        bytes memory rest = Quotes.body(Quotes.honest(), "high", "low");
        bytes memory pad = new bytes(40);
        bytes memory version5 =
            Quotes.sign(abi.encodePacked(hex"0500020081000000", pad, rest), Quotes.PLATFORM_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(LocalnetQuoteVerifier.LocalnetQuoteVerifierVersion.selector, 5)
        );
        quotes.verifyQuote(version5);
        bytes memory keyType3 =
            Quotes.sign(abi.encodePacked(hex"0400030081000000", pad, rest), Quotes.PLATFORM_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(LocalnetQuoteVerifier.LocalnetQuoteVerifierKeyType.selector, 3)
        );
        quotes.verifyQuote(keyType3);
        bytes memory sgx =
            Quotes.sign(abi.encodePacked(hex"0400020000000000", pad, rest), Quotes.PLATFORM_KEY);
        vm.expectRevert(
            abi.encodeWithSelector(LocalnetQuoteVerifier.LocalnetQuoteVerifierTeeType.selector, 0)
        );
        quotes.verifyQuote(sgx);
    }
}
