# ruff: noqa
"""Answers of students to the exercise training_steps."""

import torch
from torch import nn
from torch.nn import functional as F


def answer_01(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.view(-1, logits.size(-1)), batch["labels"].view(-1), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_02(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.flatten(0, -2), batch["labels"].flatten(), ignore_index=-100)
        losses.append(loss.item())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()


def answer_03(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    loss_fn = nn.CrossEntropyLoss(ignore_index=-100)
    for batch in batches:
        prediction = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = loss_fn(prediction.reshape(-1, prediction.shape[-1]), batch["labels"].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
