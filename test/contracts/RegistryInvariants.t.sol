// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Batch, Statement} from "#contracts/proofs/Types.sol";
import {Invariants} from "./support/Handlers.sol";
import {Measurements, Quotes} from "./support/Quotes.sol";
import {bound, vm} from "./support/Vm.sol";
import {World} from "./support/World.sol";

/// @notice Registers, revokes, allows and removes images, anchors, skips, forks, waits; and keeps its
/// own books, from nothing but what it did, of who is valid and which root each batch has.
contract RegistryHandler is World {
    uint256 private constant _KEYS = 3;
    bytes32 private constant _OTHER_STREAM = "other stream";

    struct Key {
        bytes32 stream;
        bytes32 imageId;
        uint256 attestedAt;
        uint256 expiresAt;
        bool isRevoked;
    }

    mapping(uint256 key => Key) private _keys;
    mapping(bytes32 imageId => uint256) private _activeFrom;
    mapping(bytes32 stream => mapping(uint64 sequence => bytes32)) private _roots;
    mapping(bytes32 stream => uint64) private _heads;
    mapping(bytes32 stream => bytes32) private _digests;
    mapping(bytes32 stream => uint256) private _committedAt;
    uint256 private _nonce;

    constructor() {
        build();
        _activeFrom[_imageOf(0)] = START;
        _keys[ENCLAVE_KEY] = Key(STREAM, _imageOf(0), START, START + 7 days, false);
    }

    // --- who is attested ---

    /// @dev Anyone applies with any key, image, stream and quote, honest or spoilt.
    function register(uint256 key, uint8 image, bool isOther, uint8 spoilt) external {
        key = _keyAt(key);
        image %= 2;
        spoilt %= 8;
        bytes32 stream = isOther ? _OTHER_STREAM : STREAM;
        bool isDue = (spoilt == 0 || spoilt > 4) && _isDue(key, stream, _imageOf(image));
        if (_apply(statementOf(key, stream), key, image, spoilt)) {
            vm.assertTrue(isDue, "registered without a quote that verifies");
            uint256 expiresAt = block.timestamp + 7 days;
            _keys[key] = Key(stream, _imageOf(image), block.timestamp, expiresAt, false);
        } else {
            vm.assertFalse(isDue, "refused without a reason");
        }
    }

    function _isDue(uint256 key, bytes32 stream, bytes32 imageId) private view returns (bool) {
        Key storage known = _keys[key];
        uint256 active = _activeFrom[imageId];
        bool isBound = known.attestedAt != 0 && (known.stream != stream || known.imageId != imageId);
        return active != 0 && block.timestamp >= active && !known.isRevoked && !isBound;
    }

    function _apply(Statement memory statement, uint256 key, uint8 image, uint8 spoilt)
        private
        returns (bool isDone)
    {
        (uint64 number, bytes32 hash) = recentBlock();
        bytes32 high = spoilt == 2 ? hash : hasher.statement(statement);
        bytes32 low = spoilt == 4 ? keccak256("old block") : hash;
        bytes memory quote = Quotes.mint(_measured(image), high, low);
        if (spoilt == 1) quote[100 + uint256(hash) % 500] ^= 0x01;
        bytes memory possession = signed(spoilt == 3 ? key + 1 : key, hasher.possession(statement));
        (isDone,) = address(enclaves)
            .call(abi.encodeCall(enclaves.register, (statement, number, possession, quote)));
    }

    function revoke(uint256 key) external {
        key = _keyAt(key);
        try enclaves.revoke(vm.addr(key)) {
            vm.assertTrue(_keys[key].attestedAt != 0 && !_keys[key].isRevoked);
            _keys[key].isRevoked = true;
        } catch {}
    }

    function allowImage(uint8 image) external {
        bytes32 imageId = _imageOf(image % 2);
        try enclaves.allowImage(imageId) {
            _activeFrom[imageId] = block.timestamp + 2 days;
        } catch {
            vm.assertTrue(_activeFrom[imageId] != 0);
        }
    }

    function removeImage(uint8 image) external {
        // Seldom: an image that is gone takes two days to come back.
        if (image % 4 != 0) return;
        bytes32 imageId = _imageOf(image / 4 % 2);
        try enclaves.removeImage(imageId) {
            _activeFrom[imageId] = 0;
        } catch {
            vm.assertEq(_activeFrom[imageId], 0);
        }
    }

    function wait_(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 2 days));
        vm.roll(block.number + 1);
    }

    // --- what is anchored ---

    /// @dev A run of batches of one stream, signed by any key, each of them honest or spoilt.
    function commit(uint256 key, bool isOther, uint8 spoilt, uint8 length) external {
        key = _keyAt(key);
        bytes32 stream = isOther ? _OTHER_STREAM : STREAM;
        uint256 count = 1 + length % 24;
        for (uint256 i = 0; i < count; ++i) {
            _commit(key, stream, i == 0 ? spoilt % 8 : 0);
        }
    }

    function _commit(uint256 key, bytes32 stream, uint8 spoilt) private {
        Batch memory batch = _batch(stream, _heads[stream] + 1);
        if (spoilt == 1) ++batch.sequence;
        if (spoilt == 2) batch.previous = keccak256("another history");
        if (spoilt == 3) batch.closedAtMs += 16 minutes * 1000;
        if (spoilt == 4 && batch.sequence > 1) --batch.sequence;
        bytes memory signature = signed(key, hasher.batch(batch));
        if (spoilt == 5) batch.reportRoot = keccak256("another root");
        bool isDue = _isValid(key, stream)
            && (spoilt == 0 || spoilt > 5 || (spoilt == 4 && _heads[stream] == 0));
        try proofs.commit(batch, signature) {
            vm.assertTrue(isDue, "anchored what no valid key signed next");
            _anchored(batch);
        } catch {
            vm.assertFalse(isDue, "refused without a reason");
        }
    }

    function skip(uint256 key, uint8 over) external {
        key = _keyAt(key);
        uint64 skipped = 1 + uint64(over % 100);
        Batch memory batch = _batch(STREAM, _heads[STREAM] + 1 + skipped);
        batch.previous = keccak256(abi.encode("left out", ++_nonce));
        bytes memory signature = signed(key, hasher.batch(batch));
        bool isDue = _isValid(key, STREAM)
            && (_heads[STREAM] == 0 || block.timestamp >= _committedAt[STREAM] + 1 days);
        try proofs.commitAfterSkip(batch, signature) {
            vm.assertTrue(isDue, "left out what could be had");
            _anchored(batch);
        } catch {
            vm.assertFalse(isDue, "refused without a reason");
        }
    }

    // --- the books ---

    function checkSigners() external view {
        for (uint256 i = 0; i < _KEYS; ++i) {
            uint256 key = _keyAt(i);
            address signer = vm.addr(key);
            for (uint256 k = 0; k < 2; ++k) {
                bytes32 stream = k == 0 ? STREAM : _OTHER_STREAM;
                vm.assertEq(
                    enclaves.validStreamOf(signer) == stream, _isValid(key, stream), "validity"
                );
            }
        }
    }

    function checkBatches() external view {
        for (uint256 k = 0; k < 2; ++k) {
            bytes32 stream = k == 0 ? STREAM : _OTHER_STREAM;
            (uint64 at, bytes32 digest) = proofs.head(stream);
            vm.assertEq(at, _heads[stream]);
            vm.assertEq(digest, _digests[stream]);
            for (uint64 i = at > 70 ? at - 70 : 0; i < at + 3; ++i) {
                bytes32 wanted = i > at || at - i >= 64 ? bytes32(0) : _roots[stream][i];
                try proofs.anchoredRoot(stream, i) returns (bytes28 root, uint32 count) {
                    vm.assertEq(bytes32(root), bytes32(bytes28(wanted)), "a stale root");
                    vm.assertTrue(wanted != 0 && count == 1);
                } catch {
                    vm.assertEq(wanted, 0, "a root is missing");
                }
            }
        }
    }

    function _batch(bytes32 stream, uint64 at) private returns (Batch memory batch) {
        bytes32[] memory leaves = new bytes32[](1);
        leaves[0] = keccak256(abi.encode("leaf", ++_nonce));
        batch = nextBatch(leaves);
        batch.stream = stream;
        batch.sequence = at;
        batch.previous = _digests[stream];
    }

    function _anchored(Batch memory batch) private {
        _roots[batch.stream][batch.sequence] = batch.reportRoot;
        _heads[batch.stream] = batch.sequence;
        _digests[batch.stream] = hasher.batch(batch);
        _committedAt[batch.stream] = block.timestamp;
    }

    function _isValid(uint256 key, bytes32 stream) private view returns (bool) {
        Key storage known = _keys[key];
        uint256 active = _activeFrom[known.imageId];
        return known.stream == stream && !known.isRevoked && block.timestamp < known.expiresAt
            && active != 0 && known.attestedAt >= active;
    }

    function _keyAt(uint256 seed) private pure returns (uint256) {
        return seed % _KEYS == 0 ? ENCLAVE_KEY : 0xC0DE + seed % _KEYS;
    }

    function _measured(uint256 image) private pure returns (Measurements memory measured) {
        measured = Quotes.honest();
        if (image == 1) measured.mrConfigId = keccak256("another compose");
    }

    function _imageOf(uint256 image) private pure returns (bytes32) {
        return Quotes.imageId(_measured(image));
    }
}

contract RegistryInvariantsTest is Invariants {
    RegistryHandler private handler;

    function setUp() public {
        handler = new RegistryHandler();
        bytes4[] memory selectors = new bytes4[](9);
        selectors[0] = handler.register.selector;
        selectors[1] = handler.register.selector;
        selectors[2] = handler.commit.selector;
        selectors[3] = handler.commit.selector;
        selectors[4] = handler.skip.selector;
        selectors[5] = handler.revoke.selector;
        selectors[6] = handler.allowImage.selector;
        selectors[7] = handler.removeImage.selector;
        selectors[8] = handler.wait_.selector;
        handle(address(handler), selectors);
    }

    /// @dev A key is valid if and only if a quote that verified made it so within its life, for the
    /// stream and image that it stated, and neither has been taken back.
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_noSignerIsValidWithoutAQuoteThatVerified() public view {
        handler.checkSigners();
    }

    /// @dev The head moves by one, from a batch to the one that names it, by a key that is valid then;
    /// the ring serves the root of each of the last batches and of no other.
    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_sequencesHaveNoGapsAndRootsAreNeverStale() public view {
        handler.checkBatches();
    }
}
