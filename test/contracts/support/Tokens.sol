// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice What a {HookToken} calls, as ERC-777 calls whoever is paid.
interface ITokenReceiver {
    function onTokens(address from, uint256 amount) external;
}

/// @notice Keeps one part in a hundred of each transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("Fee", "FEE") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(0xFEE), fee);
    }
}

/// @notice Calls a receiver that listens, which may refuse the transfer or call back in.
contract HookToken is ERC20 {
    mapping(address receiver => bool) private _isListening;

    constructor() ERC20("Hook", "HOOK") {}

    function listen(address receiver) external {
        _isListening[receiver] = true;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (_isListening[to]) ITokenReceiver(to).onTokens(from, amount);
    }
}

/// @notice Answers every transfer with one prepared call and keeps what came of it.
contract Reentrant is ITokenReceiver {
    address private _target;
    bytes private _call;
    bytes public answer;
    uint256 public calls;

    function prepare(address target, bytes calldata call_) external {
        _target = target;
        _call = call_;
    }

    function onTokens(address, uint256) external {
        _strike();
    }

    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external
        returns (bytes4)
    {
        _strike();
        return this.onERC1155Received.selector;
    }

    function _strike() private {
        ++calls;
        (, answer) = _target.call(_call);
    }
}

/// @notice Refuses whatever it is sent.
contract Refuser is ITokenReceiver {
    error NoThanks();

    function onTokens(address, uint256) external pure {
        revert NoThanks();
    }

    function act(address target, bytes calldata data) external {
        (bool isDone,) = target.call(data);
        require(isDone, "act");
    }
}

/// @notice Accepts credits by burning all the gas that it is given.
contract GasBurner {
    uint256 private _sink;

    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external
        returns (bytes4)
    {
        while (true) ++_sink;
        return this.onERC1155Received.selector;
    }
}

/// @notice Refuses credits with as many bytes as its gas allows.
contract Shouter {
    function onERC1155Received(address, address, uint256, uint256, bytes calldata)
        external
        pure
        returns (bytes4)
    {
        assembly {
            revert(0, 60000)
        }
    }
}
