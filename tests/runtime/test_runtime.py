"""What emitted files carry with them: chains, sets of parameters for each update, shared parameters, first values."""

from __future__ import annotations

import io
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cortexgraph.ops.running import modules
from cortexgraph.runtime.chains import Area, PerStep, Stepwise, chain, untracked
from cortexgraph.runtime.images import check_image, frame, later_frame, per_frame, repeated, zeros
from cortexgraph.runtime.initial import identity_, started

MODULES = modules()
ConvLSTM, Leaky, Residual, SeparableConv2d = (
    MODULES[name] for name in ("ConvLSTM", "Leaky", "Residual", "SeparableConv2d")
)
Shared, SharedConv2d, SharedTransposedConv2d = (
    MODULES[name] for name in ("Shared", "SharedConv2d", "SharedTransposedConv2d")
)


class Add(nn.Module):
    """x + n; counts its calls."""

    def __init__(self, n: float) -> None:
        super().__init__()
        self.n = nn.Parameter(torch.tensor(float(n)))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.n


def counting() -> Callable[[], Add]:
    """Makes x + 0, x + 1, and so on."""
    made: list[Add] = []

    def make() -> Add:
        made.append(Add(len(made)))
        return made[-1]

    return make


def values(sets: PerStep) -> list[float]:
    return [one.n.item() for one in sets]


def sets_of(*numbers: float) -> PerStep:
    sets = PerStep(counting(), len(numbers), range(1, len(numbers) + 1))
    with torch.no_grad():
        for one, number in zip(sets, numbers, strict=True):
            one.n.fill_(number)
    return sets


# ---- a set of parameters for each update -------------------------------------------


def test_each_update_has_its_set_and_later_ones_the_last() -> None:
    sets = PerStep(counting(), 3, range(1, 4))
    assert [sets(torch.zeros(()), update).item() for update in (1, 2, 3, 4, 99)] == [0, 1, 2, 2, 2]
    assert [sets.at(update) is sets[min(update, 3) - 1] for update in (1, 2, 3, 4)] == [True] * 4


@pytest.mark.parametrize("reached", [(), (1,), (2, 3), (1, 2, 3), (1, 4)])
def test_sets_that_no_readout_reaches_require_no_gradient(reached: tuple[int, ...]) -> None:
    sets = PerStep(counting(), 3, reached)
    assert [one.n.requires_grad for one in sets] == [update in reached for update in (1, 2, 3)]


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize(
    ("trained", "loaded"),
    [((5, 6, 7), [5, 6, 7]), ((5,), [5, 5, 5]), ((5, 6), [5, 6, 6]), ((5, 6, 7, 8, 9), [5, 6, 7])],
)
def test_another_number_of_sets_loads_by_the_rule_for_later_updates(
    trained: tuple[float, ...], loaded: list[float], assign: bool
) -> None:
    source, target = nn.Module(), nn.Module()
    source.norm, target.norm = sets_of(*trained), PerStep(counting(), 3, range(1, 4))
    state = source.state_dict()
    kept = {name: value.clone() for name, value in state.items()}
    target.load_state_dict(state, assign=assign)
    assert values(target.norm) == loaded
    assert state.keys() == kept.keys()
    for update in range(1, 8):
        assert target.norm.at(update).n == source.norm.at(min(update, 3)).n


def test_eleven_sets_load_in_the_order_of_numbers() -> None:
    source, target = sets_of(*range(20, 31)), PerStep(counting(), 13, range(1, 14))
    target.load_state_dict(source.state_dict())
    assert values(target) == [*range(20, 31), 30, 30]


def test_copied_sets_go_their_own_ways() -> None:
    target = PerStep(counting(), 3, range(1, 4))
    target.load_state_dict(sets_of(5).state_dict())
    with torch.no_grad():
        target[1].n += 1
    assert values(target) == [5, 6, 5]


def test_running_statistics_load_too() -> None:
    source, target = (PerStep(lambda: nn.BatchNorm2d(2), n, range(1, n + 1)) for n in (1, 3))
    source.train()(torch.randn(4, 2, 3, 3), 1)
    target.load_state_dict(source.state_dict())
    for one in target:
        for name, value in source[0].state_dict().items():
            assert torch.equal(one.state_dict()[name], value)


def test_what_does_not_fit_is_said() -> None:
    target = PerStep(lambda: nn.BatchNorm2d(2), 2, (1, 2))
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"0.weight\""):
        target.load_state_dict({})
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"mean.weight\""):
        target.load_state_dict(target.state_dict() | {"mean.weight": torch.zeros(2)})
    with pytest.raises(RuntimeError, match=r"size mismatch for 0.weight"):
        target.load_state_dict(PerStep(lambda: nn.BatchNorm2d(3), 2, (1, 2)).state_dict())


# ---- operations one after another ----------------------------------------------------


def test_a_chain_has_names_and_runs_in_their_order() -> None:
    module = chain(add=Add(2), relu=nn.ReLU(), add_2=Add(-1))
    assert [*module.state_dict()] == ["add.n", "add_2.n"]
    assert module(torch.tensor(-5.0)).item() == -1


def test_the_update_reaches_those_that_ask_for_it() -> None:
    inner = Residual(body=Stepwise(sets=sets_of(10, 20)), shortcut=nn.Identity())
    module = Stepwise(add=Add(1), sets=sets_of(100, 200, 300), block=inner, chained=chain(add=Add(0)))
    for update, expected in [(1, 2 * 101 + 10), (2, 2 * 201 + 20), (3, 2 * 301 + 20), (7, 2 * 301 + 20)]:
        assert module(torch.zeros(()), update).item() == expected
    assert [*module.state_dict()] == [
        "add.n", "sets.0.n", "sets.1.n", "sets.2.n", "block.body.sets.0.n", "block.body.sets.1.n", "chained.add.n",
    ]  # fmt: skip


def test_both_branches_of_a_block_have_their_updates() -> None:
    block = Residual(body=sets_of(1, 2), shortcut=sets_of(10, 20, 30))
    assert [block(torch.zeros(()), update).item() for update in (1, 2, 3)] == [11, 22, 32]
    assert block(torch.zeros(())).item() == 11


def test_an_area_without_memory_runs_its_operations() -> None:
    area = Area(norm=sets_of(1, 2), activation=nn.ReLU())
    assert [area(torch.zeros(()), update=update).item() for update in (1, 2, 3)] == [1, 2, 2]
    assert area(torch.zeros(())).item() == 1


def test_the_cell_of_an_area_gets_the_old_state_and_nothing_else_does() -> None:
    area = Area(norm=sets_of(1, 2), cell=Leaky(0.5))
    x, h = torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1, 1), 8.0)
    assert area(x, update=2).item() == area(x, None, update=2).item() == 2
    assert area(x, h, update=2).item() == 6
    assert area(x, h).item() == 5


def test_an_area_returns_what_its_cell_returns() -> None:
    torch.manual_seed(0)
    cell = ConvLSTM(2)
    area = Area(activation=nn.ReLU(), cell=cell)
    x, h, c = torch.randn(3, 1, 2, 4, 5)
    for state in ((), (h,), (h, c), (None, None)):
        for found, expected in zip(area(x, *state), cell(x.relu(), *state), strict=True):
            assert torch.equal(found, expected)
    assert [*area.state_dict()] == ["cell.gates.weight", "cell.gates.bias"]


# ---- parameters of another connection ------------------------------------------------


class Tied(nn.Module):
    """A convolution from A to B, and three ways to use it once more."""

    def __init__(self, per_step: bool = False) -> None:
        super().__init__()
        conv = PerStep(lambda: nn.Conv2d(2, 3, 3, padding=1), 2, (1, 2)) if per_step else nn.Conv2d(2, 3, 3, padding=1)
        self.A_to_B = (Stepwise if per_step else chain)(conv=conv)
        self.again = Stepwise(conv=Shared(self.A_to_B.conv))
        self.strided = Stepwise(conv=SharedConv2d(self.A_to_B.conv, stride=2, padding=1))
        self.back = Stepwise(conv=SharedTransposedConv2d(self.A_to_B.conv, padding=1), gain=Add(1))

    def forward(self, x: Tensor, update: int = 1) -> tuple[Tensor, Tensor, Tensor]:
        again = self.again(x, update)
        return again, self.strided(x, update), self.back(again, update)


def expected_of(module: Tied, x: Tensor, update: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    conv: Any = module.A_to_B.conv
    conv = conv.at(update) if isinstance(conv, PerStep) else conv
    again = conv(x)
    strided = nn.functional.conv2d(x, conv.weight, conv.bias, stride=2, padding=1)
    return again, strided, nn.functional.conv_transpose2d(again, conv.weight, padding=1) + module.back.gain.n


def hold_equal(module: Tied, x: Tensor) -> None:
    for update in (1, 2, 3):
        torch.testing.assert_close(module(x, update), expected_of(module, x, update))


@pytest.mark.parametrize("per_step", [False, True])
def test_shared_parameters_have_one_owner(per_step: bool) -> None:
    module = Tied(per_step)
    sets = [".0", ".1"] if per_step else [""]
    assert [*module.state_dict()] == [
        *(f"A_to_B.conv{n}.{name}" for n in sets for name in ("weight", "bias")),
        "back.gain.n",
    ]
    assert len([*module.parameters()]) == 2 * len(sets) + 1
    assert not [*module.again.parameters()]
    assert not [*module.again.modules()][2:]
    hold_equal(module, torch.randn(2, 2, 5, 7))


@pytest.mark.parametrize("per_step", [False, True])
def test_shared_parameters_follow_their_owner(per_step: bool) -> None:
    module = Tied(per_step).to(torch.float64)
    x = torch.randn(2, 2, 5, 7, dtype=torch.float64)
    assert all(result.dtype == torch.float64 for result in module(x))
    module.load_state_dict({name: value + 1 for name, value in module.state_dict().items()})
    hold_equal(module, x)
    torch.optim.SGD(module.parameters(), lr=0.1).step(lambda: loss(module, x))
    hold_equal(module, x)
    module.half().double()
    hold_equal(module, x)


def loss(module: Tied, x: Tensor) -> float:
    total = torch.stack([result.square().mean() for result in module(x)]).sum()
    total.backward()
    return total.item()


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("copied", ["deepcopy", "saved"])
def test_a_copy_of_the_whole_module_has_an_owner_of_its_own(copied: str, per_step: bool) -> None:
    module, x = Tied(per_step), torch.randn(2, 2, 5, 7)
    before = [result.clone() for result in module(x)]
    if copied == "deepcopy":
        copy = deepcopy(module)
    else:
        file = io.BytesIO()
        torch.save(module, file)
        file.seek(0)
        copy = torch.load(file, weights_only=False)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.add_(1)
    hold_equal(copy, x)
    torch.testing.assert_close([*module(x)], before)
    assert copy.again.conv.at(1) is not module.again.conv.at(1)


def test_gradients_of_all_uses_add_up() -> None:
    module, x = Tied().double(), torch.randn(2, 2, 5, 7, dtype=torch.float64)
    found, expected = (
        torch.autograd.grad(
            sum((n + 1) * result.sin().sum() for n, result in enumerate(results)), [*module.parameters()]
        )
        for results in (module(x), expected_of(module, x))
    )
    torch.testing.assert_close(found, expected)


def test_a_shared_norm_is_its_owner_in_training_too() -> None:
    owner = nn.BatchNorm2d(2)
    shared = Shared(owner)
    x = torch.randn(3, 2, 4, 4)
    owner.eval()
    torch.testing.assert_close(shared(x), owner(x))
    shared(x + 1)
    assert owner.num_batches_tracked == 0
    owner.train()
    shared(x)
    assert owner.num_batches_tracked == 1


def test_a_share_of_a_share() -> None:
    owner = sets_of(1, 2)
    again = Shared(Shared(owner))
    assert [again(torch.zeros(()), update).item() for update in (1, 2, 3)] == [1, 2, 2]


# ---- running averages that stay -------------------------------------------------------


def batches(module: nn.Module) -> list[int]:
    return [int(n) for name, n in module.state_dict().items() if name.endswith("num_batches_tracked")]


def test_untracked_gives_the_same_and_moves_no_running_average() -> None:
    sets = PerStep(lambda: nn.BatchNorm2d(2), 2, (1, 2))
    area = Area(block=Residual(body=Stepwise(norm=sets), shortcut=chain(norm=nn.BatchNorm2d(2))))
    x = torch.randn(3, 2, 4, 4)
    for training in (True, False):
        area.train(training)
        before = {name: value.clone() for name, value in area.state_dict().items()}
        found = untracked(area, x, update=2)
        assert all(torch.equal(value, before[name]) for name, value in area.state_dict().items())
        torch.testing.assert_close(found, area(x, update=2))
    assert batches(area) == [0, 1, 1]


def test_untracked_moves_no_running_average_of_an_owner() -> None:
    owner = nn.BatchNorm2d(2)
    shared = chain(norm=Shared(owner))
    untracked(shared, torch.randn(3, 2, 4, 4))
    assert batches(owner) == [0]
    shared(torch.randn(3, 2, 4, 4))
    assert batches(owner) == [1]


def test_averages_move_again_after_an_error() -> None:
    norm = nn.BatchNorm2d(2)
    with pytest.raises(ValueError, match="expected 4D input"):
        untracked(norm, torch.randn(2))
    assert norm.track_running_stats


# ---- first values ---------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [1, 3, (5, 1), (3, 7)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_lateral_convolution_can_start_as_the_identity(kernel: int | tuple[int, int], groups: int) -> None:
    conv = started(nn.Conv2d(4, 4, kernel, padding="same", groups=groups), identity_)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(conv(x), x, rtol=0, atol=0)


def test_identity_of_other_modules_and_numbers_of_channels() -> None:
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(started(nn.ConvTranspose2d(4, 4, 3, padding=1), identity_)(x), x, rtol=0, atol=0)
    torch.testing.assert_close(started(SeparableConv2d(4, 4, 3, padding=1), identity_)(x), x, rtol=0, atol=0)
    torch.testing.assert_close(started(nn.Linear(6, 6), identity_)(x), x, rtol=0, atol=0)
    more, fewer = (started(nn.Conv2d(4, n, 3, padding=1), identity_)(x) for n in (6, 3))
    torch.testing.assert_close(more, x[:, [0, 1, 2, 3, 0, 1]], rtol=0, atol=0)
    torch.testing.assert_close(fewer, x[:, :3], rtol=0, atol=0)
    even = started(nn.Conv2d(4, 4, (2, 4), padding=(0, 1)), identity_)
    torch.testing.assert_close(even(x), x[:, :, :-1, :-1], rtol=0, atol=0)


def test_identity_returns_the_weight_and_keeps_its_gradient_flag() -> None:
    weight = nn.Parameter(torch.randn(2, 2, 3, 3))
    assert identity_(weight) is weight
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.sum() == 2


def test_started_fills_every_weight_and_zeroes_every_bias() -> None:
    inner = Residual(body=chain(conv=nn.Conv2d(2, 2, 1)), shortcut=nn.Identity())
    norm = PerStep(lambda: nn.BatchNorm2d(2), 2, (1, 2))
    sets = PerStep(lambda: nn.ConvTranspose2d(2, 3, 2), 2, (1,))
    module = Stepwise(conv=nn.Conv2d(2, 2, 3, bias=False), block=inner, norm=norm, sets=sets, linear=nn.Linear(3, 4))
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.fill_(7)
    filled: list[tuple[int, ...]] = []

    def fill(weight: Tensor) -> Tensor:
        filled.append(tuple(weight.shape))
        return nn.init.constant_(weight, 3.0)

    assert started(module, fill) is module
    assert filled == [(2, 2, 3, 3), (2, 2, 1, 1), (2, 3, 2, 2), (2, 3, 2, 2), (4, 3)]
    for name, parameter in module.named_parameters():
        expected = 7 if name.startswith("norm") else 0 if name.endswith("bias") else 3
        assert (parameter == expected).all(), name
    assert [one.weight.requires_grad for one in sets] == [True, False]


def test_started_leaves_shared_parameters_to_their_owner() -> None:
    module = Tied()
    before = module.A_to_B.conv.weight.clone()
    started(module.strided, nn.init.zeros_)
    assert torch.equal(module.A_to_B.conv.weight, before)


# ---- what enters ----------------------------------------------------------------------


def test_a_static_image_is_the_frame_of_every_step_and_computed_once() -> None:
    x, connection = torch.randn(2, 3, 4, 5), Add(1)
    assert frame(x, 1, True) is frame(x, 7, True) is x
    found = per_frame(connection, x, True)
    assert found(2) is found(3) is found(5)
    assert connection.calls == 1
    torch.testing.assert_close(found(2), x + 1)


def test_a_frame_of_a_video_is_computed_when_it_is_read() -> None:
    x, connection = torch.randn(2, 6, 3, 4, 5), Add(1)
    found = per_frame(connection, x, False)
    assert connection.calls == 0
    for calls, step in enumerate([2, 3, 6], 1):
        assert torch.equal(frame(x, step, False), x[:, step - 1])
        torch.testing.assert_close(found(step), x[:, step - 1] + 1)
        assert connection.calls == calls


@pytest.mark.parametrize(("still", "moved"), [(True, 0), (False, 1)])
def test_an_image_that_comes_again_moves_no_average(still: bool, moved: int) -> None:
    x = torch.randn(2, *([] if still else [6]), 3, 4, 5)
    connections = [nn.BatchNorm2d(3) for _ in range(2)]
    found = later_frame(connections[0], x, 4, still)
    torch.testing.assert_close(found, connections[1](frame(x, 4, still)))
    assert batches(connections[0]) == [moved]


def test_what_is_the_same_for_every_image_is_repeated_over_the_batch() -> None:
    x, value = torch.randn(7, 3, 4, 5), torch.randn(1, 2, 3, 3, requires_grad=True)
    assert torch.equal(repeated(value, x), torch.cat([value] * 7))
    assert repeated(value, x, when=False) is value
    repeated(value, x).sum().backward()
    assert value.grad is not None
    assert (value.grad == 7).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("leading", [(2,), (2, 6)])
def test_zeros_have_the_batch_and_type_of_the_images(leading: tuple[int, ...], dtype: torch.dtype) -> None:
    found = zeros(torch.ones(*leading, 3, 4, 5, dtype=dtype), 7, 2, 1)
    assert found.shape == (2, 7, 2, 1)
    assert found.dtype == dtype
    assert not found.any()
    assert zeros(torch.ones(2, 3, 4, 5, device="meta"), 1).device.type == "meta"


def test_only_images_and_videos_of_the_right_shape_enter() -> None:
    for shape, still in [((1, 3, 4, 5), True), ((0, 3, 4, 5), True), ((2, 6, 3, 4, 5), False)]:
        assert check_image(torch.zeros(shape), (3, 4, 5), 6) is still
    for shape in [(3, 4, 5), (2, 3, 5, 4), (2, 5, 3, 4, 5), (2, 6, 3, 4), (2, 2, 6, 3, 4, 5)]:
        expected = rf"x is \[{', '.join(map(str, shape))}\]; expected \[B, \*\(3, 4, 5\)\], or a video \[B, 6, \*"
        with pytest.raises(ValueError, match=expected):
            check_image(torch.zeros(shape), (3, 4, 5), 6)
