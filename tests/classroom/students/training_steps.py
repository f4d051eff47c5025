# ruff: noqa: B905
"""Answers of students to the exercise training_steps."""

import torch
from torch.nn import functional as F


def _loss(model, batch):
    logits = model(batch["input_ids"], batch["attention_mask"]).logits
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)


def answer_01(model, batches, optimizer, schedule, max_grad_norm=1.0):
    history = []
    for batch in batches:
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
    return history


def answer_02(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_03(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        optimizer.step()
        losses.append(float(loss))
    return losses


def answer_04(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        # clip
        torch.nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_05(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    schedule.step()
    return losses


def answer_06(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        loss = _loss(model, batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_07(model, batches, optimizer, schedule, max_grad_norm=1.0):
    def one_step(batch):
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return loss.item()

    optimizer.zero_grad()
    return [one_step(batch) for batch in batches]


def answer_08(model, batches, optimizer, schedule, max_grad_norm=1.0):
    weights = [p for p in model.parameters() if p.requires_grad]
    losses = []
    for batch in batches:
        scores = model(batch["input_ids"], batch["attention_mask"]).logits
        where = batch["labels"] != -100
        log_p = scores[where].log_softmax(-1)
        loss = -log_p[torch.arange(len(log_p)), batch["labels"][where]].mean()
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        norm = torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt()
        for p, g in zip(weights, gradients):
            p.grad = None if g is None else g * min(1.0, max_grad_norm / float(norm))
        optimizer.step()
        schedule.step()
        losses.append(loss.detach().item())
    optimizer.zero_grad()
    return losses


def answer_09(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    history = []
    for batch in batches:
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
    return history


def answer_10(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_11(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        optimizer.step()
        losses.append(float(loss))
    return losses


def answer_12(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        # clip
        torch.nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_13(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    schedule.step()  # once per epoch
    return losses


def answer_14(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train(True)
    losses = []
    for batch in batches:
        loss = _loss(model, batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_15(model, batches, optimizer, schedule, max_grad_norm=1.0):
    def one_step(batch):
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        total = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100, reduction="sum")
        loss = total / (batch["labels"] != -100).sum().clamp(min=1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        return loss.item()

    model.train()
    optimizer.zero_grad()
    return [one_step(batch) for batch in batches]


def answer_16(model, batches, optimizer, schedule, max_grad_norm=1.0):
    weights = [p for p in model.train().parameters() if p.requires_grad]
    losses = []
    for batch in batches:
        scores = model(batch["input_ids"], batch["attention_mask"]).logits
        where = batch["labels"] != -100
        log_p = scores[where].log_softmax(-1)
        loss = -log_p[torch.arange(len(log_p)), batch["labels"][where]].sum() / max(1, int(where.sum()))
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        norm = torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt()
        for p, g in zip(weights, gradients):
            p.grad = None if g is None else g * min(1.0, max_grad_norm / max(float(norm), 1e-12))
        optimizer.step()
        schedule.step()
        losses.append(loss.detach().item())
    optimizer.zero_grad()
    return losses


def answer_17(model, batches, optimizer, schedule, max_grad_norm=1.0):
    model.train()
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
