"""Three training steps of a small QuartzNet, as NeMo 3.0 made them: losses, gradients, weights, statistics."""

from __future__ import annotations

from pathlib import Path

import torch

from seaspeak.collections.asr.models import EncDecCTCModel
from seaspeak.training import get_optimizer
from tests.fixture import Fixture


def test_three_steps_of_novograd_leave_nemos_weights(shared: Path) -> None:
    fixture = Fixture(shared / "fixtures" / "asr" / "quartznet_train_step")
    model = EncDecCTCModel.restore_from(fixture.archive, map_location="cpu").train()
    optimizer = get_optimizer("novograd", lr=0.01, betas=(0.8, 0.5), weight_decay=0.001)(model.parameters())
    arrays = {name: torch.from_numpy(fixture.io[name]) for name in ("features", "features_length", "targets")}
    counts = torch.from_numpy(fixture.io["target_lengths"])

    losses = []
    for step in range(3):
        optimizer.zero_grad()
        log_probs, lengths, _ = model(
            processed_signal=arrays["features"], processed_signal_length=arrays["features_length"]
        )
        loss = model.loss(log_probs=log_probs, targets=arrays["targets"], input_lengths=lengths, target_lengths=counts)
        loss.backward()
        if step == 0:
            fixture.assert_close("log_probs_step1", log_probs)
            gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
            assert gradients.keys() == fixture.group("grad_step1").keys()
            for name, gradient in gradients.items():
                fixture.assert_close(f"grad_step1/{name}", gradient)
        optimizer.step()
        losses.append(loss.detach())
    fixture.assert_close("losses", torch.stack(losses))
    state = model.state_dict()
    for name in fixture.group("state_after_3_steps"):
        fixture.assert_close(f"state_after_3_steps/{name}", state[name])
