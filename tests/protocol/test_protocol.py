"""Protocols say when what is shown: frames against tensors made by hand, and every finding at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cortexgraph.errors import DataError, SpecError
from cortexgraph.protocol import load_protocol, shipped_protocols
from cortexgraph.protocol.video import video

IMAGES = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
OTHERS = IMAGES.flip(0)


def frames(steps: int, *events: dict[str, Any], condition: int = 0, **more: Any) -> torch.Tensor:
    protocol = load_protocol({"name": "p", "events": list(events), **more})
    return video(protocol, protocol.conditions[condition], IMAGES, OTHERS, [0, 1], steps)


def grey(steps: int, level: float = 0.5) -> torch.Tensor:
    return torch.full((2, steps, 3, 8, 8), level)


def test_a_pair_with_a_gap_is_two_images_on_grey() -> None:
    expected = grey(8, 0.25)
    expected[:, 1:3] = IMAGES[:, None]
    expected[:, 4:6] = OTHERS[:, None]
    made = frames(8, {"onset": 2, "duration": 2}, {"show": "other", "gap": 1, "duration": 2}, background=0.25)
    torch.testing.assert_close(made, expected)


def test_a_later_event_covers_an_earlier_one_and_the_last_goes_on_to_the_end() -> None:
    expected = IMAGES[:, None].repeat(1, 5, 1, 1, 1)
    expected[:, 2:] = 0.5
    torch.testing.assert_close(frames(5, {}, {"show": "blank", "soa": 2}), expected)


def test_times_in_ms_are_rounded_to_steps() -> None:
    events = {"onset_ms": 20, "duration_ms": 32}, {"show": "blank", "gap_ms": 9, "duration_ms": 10}, {"soa_ms": 40}
    shown = load_protocol({"name": "p", "dt_ms": 10, "events": events}).conditions[0].shown
    assert [(each.onset, each.duration) for each in shown] == [(3, 3), (7, 1), (11, None)]


@pytest.mark.parametrize("contrast", [0.0, 0.3, 1.0])
def test_contrast_is_around_mid_grey(contrast: float) -> None:
    expected = contrast * IMAGES + (1 - contrast) / 2
    torch.testing.assert_close(frames(1, {"contrast": contrast})[:, 0], expected)


def test_gaussian_noise_has_its_deviation_and_is_the_same_pattern_at_every_level() -> None:
    low, high = (frames(2, {"gaussian": s, "contrast": 0.0})[:, 0] - 0.5 for s in (0.02, 0.04))
    torch.testing.assert_close(high, 2 * low)
    assert abs(float(low.std()) - 0.02) < 0.002
    assert not torch.equal(low[0], low[1])  # each image has its own


def test_salt_and_pepper_changes_its_share_of_whole_pixels() -> None:
    images = torch.full((1, 3, 100, 100), 0.3)
    protocol = load_protocol({"name": "p", "events": [{"salt_and_pepper": 0.2}]})
    made = video(protocol, protocol.conditions[0], images, images, [5], 1)[0, 0]
    black, white = (made == 0).all(0), (made == 1).all(0)
    assert torch.equal(black | white, (made != 0.3).any(0))
    assert abs(float(black.float().mean()) - 0.1) < 0.01
    assert abs(float(white.float().mean()) - 0.1) < 0.01


def test_occluders_cover_exactly_their_share_and_more_of_them_cover_what_fewer_did() -> None:
    few, many = (frames(1, {"occlusion": share, "grain_px": 2})[:, 0] == 0.5 for share in (0.25, 0.5))
    assert few.all(1).sum((1, 2)).tolist() == [16, 16]
    assert many.all(1).sum((1, 2)).tolist() == [32, 32]
    assert bool((many | ~few).all())


def test_masks() -> None:
    board = frames(1, {"show": "checkerboard", "grain_px": 4})[0, 0, 0]
    assert torch.equal(board[::4, ::4], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    noise = frames(2, {"show": "noise", "grain_px": 2})
    assert torch.equal(noise[:, :, :, ::2, ::2], noise[:, :, :, 1::2, 1::2])
    assert torch.equal(noise[:, 0], noise[:, 1])
    dynamic = frames(2, {"show": "noise", "dynamic": True})
    assert not torch.equal(dynamic[:, 0], dynamic[:, 1])
    scrambled = frames(1, {"show": "scrambled", "contrast": 0.05})[:, 0]  # of low contrast, so that nothing is clipped
    spectra = [torch.fft.fft2(x - 0.5).abs() for x in (scrambled, 0.05 * (IMAGES - 0.5) + 0.5)]
    inner = torch.ones(8, 8, dtype=torch.bool)
    inner[::4, ::4] = False  # the frequencies that are their own mirror have a real phase
    torch.testing.assert_close(spectra[0][..., inner], spectra[1][..., inner], atol=1e-5, rtol=1e-3)


def test_what_is_random_depends_on_the_image_and_not_on_the_batch() -> None:
    protocol = load_protocol({"name": "p", "events": [{"gaussian": 0.3, "dynamic": True}]})
    whole = video(protocol, protocol.conditions[0], IMAGES, OTHERS, [3, 9], 3)
    alone = video(protocol, protocol.conditions[0], IMAGES[1:], OTHERS[1:], [9], 3)
    assert torch.equal(whole[1:], alone)


def test_a_grid_has_every_combination() -> None:
    grid = {"c": [0.1, 1], "n": [1, 2, 3]}
    protocol = load_protocol({"name": "p", "grid": grid, "events": [{"contrast": "$c", "duration": "$n"}]})
    assert [c.name for c in protocol.conditions][:4] == [
        "c = 0.1, n = 1",
        "c = 0.1, n = 2",
        "c = 0.1, n = 3",
        "c = 1, n = 1",
    ]
    assert [c.shown[0].duration for c in protocol.conditions] == [1, 2, 3, 1, 2, 3]


def test_a_function_makes_the_video_and_its_shape_is_checked() -> None:
    protocol = load_protocol(lambda images, steps: images[:, None].repeat(1, steps, 1, 1, 1) / 2)
    made = video(protocol, protocol.conditions[0], IMAGES, OTHERS, [0, 1], 4)
    torch.testing.assert_close(made, IMAGES[:, None].repeat(1, 4, 1, 1, 1) / 2)
    wrong = load_protocol(lambda images, steps: images)
    with pytest.raises(DataError, match=r"it returned \[2, 3, 8, 8\], but a frame for each step is needed"):
        video(wrong, wrong.conditions[0], IMAGES, OTHERS, [0, 1], 4)


@pytest.mark.parametrize("name", shipped_protocols())
def test_the_protocols_that_ship_load(name: str) -> None:
    protocol = load_protocol(name)
    assert len(protocol.conditions) >= 5
    assert protocol.total_steps(None, 6) >= 6


def test_all_findings_of_a_file_come_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "protocol: 1\nname: wrong\ngrid: {SOA: [1, 0.5, two]}\nevents:\n- {durations: 1}\n- {soa: $SOA, gap: 1}\n"
        "- {contrast: 2}\n"
    )
    with pytest.raises(SpecError, match="durations") as caught:
        load_protocol(path)
    places = {(finding.line, finding.place) for finding in caught.value.diagnostics}
    assert (5, "events[0].durations") in places
    assert (6, "events[1].soa (SOA = 0.5)") in places
    assert (6, "events[1].soa (SOA = two)") in places
    assert (7, "events[2].contrast") in places
    assert all(line for line, _ in places)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"events": [{"duration": "$n"}]}, r"`\$n` is not a condition, but there is no grid"),
        ({"events": [{}], "grid": {"n": [1]}}, "no event uses this condition"),
        ({"events": [{"duration": "$step"}], "grid": {"step": [1]}}, "recordings have this name for something else"),
        ({"events": [{"duration": "$y"}], "grid": {"y": [1]}}, "recordings have this name for something else"),
        ({"events": [{"duration": "$n"}], "grid": {"n": [4, 9]}, "steps": "$n"}, "steps: `[$]n` stands outside of"),
        ({"events": [{"duration": "$n"}], "grid": {"n": [*range(1, 1002)]}}, "1,001 conditions"),
        ({"events": [{"duration_ms": 10}]}, "does not say how long a step is"),
        ({"events": [{"duration_ms": 2}], "dt_ms": 10}, "2 ms are less than half a step"),
        ({"events": [{"soa": 2}]}, "there is no event before it"),
        ({"events": [{}, {"gap": 2}]}, "that one has no end"),
        ({"events": [{"onset": 4, "duration": 1}, {"onset": 2}]}, "it starts at step 2, but the event before it"),
        ({"events": [{"duration": "$n"}], "grid": {"n": [1, 2, 1]}}, "grid.n: `1` occurs more than once"),
        ({"events": []}, "at least one entry is needed"),
        ({"events": [{"show": "imagge"}]}, "Did you mean `image`"),
        ({"events": [{}], "protocol": 2}, "it must be 1"),
        ({"grid": {"n": 3}, "events": [{"duration": "$n"}]}, "grid.n: the value is `3`, but it must be a list"),
    ],
)
def test_findings(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        load_protocol({"name": "p", **data})


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        ({}, ["the key `events` is missing"]),
        ({"events": [{"contrast": "$n"}], "grid": {"n": ["a", []]}}, ["a number or a text", "n = a", "n = []"]),
        ({"events": [{"contrast": "$n"}], "grid": {"n": [float("nan")]}}, ["grid.n[0]", "events[0].contrast"]),
    ],
)
def test_a_finding_has_no_second_one_that_follows_from_it(data: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(SpecError, match=r"is missing|it must be") as caught:
        load_protocol({"name": "p", **data})
    findings = caught.value.diagnostics
    assert len(findings) == len(messages)
    assert all(message in str(finding) for message, finding in zip(messages, findings, strict=True))


def test_a_protocol_that_is_longer_than_the_network_names_every_event_and_the_repair() -> None:
    grid = {"SOA": [1, 5]}
    protocol = load_protocol({"name": "p", "grid": grid, "events": [{"duration": 4}, {"soa": "$SOA", "duration": 2}]})
    assert protocol.total_steps(7, 6) == 7
    with pytest.raises(SpecError, match=r"on from step 6 to 7 \(SOA = 5\), but there are 3 steps") as caught:
        protocol.total_steps(None, 3)
    assert [finding.place for finding in caught.value.diagnostics] == ["events[0]", "events[1]"]
    assert "Give --steps 7" in caught.value.diagnostics[1].repair


def test_a_missing_file_and_a_spec(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no protocol of this name ships\.\n  Did you mean `masking`"):
        load_protocol("maskin")
    with pytest.raises(SpecError, match="no protocol of this name ships"):
        load_protocol("a" * 300)
    with pytest.raises(SpecError, match="this is a spec"):
        load_protocol(Path(__file__).parents[2] / "specs" / "ventral.yaml")
