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
    criterion = nn.CrossEntropyLoss()
    history = []
    for b in batches:
        optimizer.zero_grad()
        out = model(b["input_ids"], b["attention_mask"]).logits
        loss = criterion(out.flatten(0, 1), b["labels"].flatten())
        loss.backward()
        optimizer.step()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        history.append(float(loss))
    return history


def answer_03(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.transpose(1, 2), batch["labels"])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    schedule.step()
    return losses


def answer_04(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach().item())
    return losses


def answer_05(model, batches, optimizer, schedule, max_grad_norm=1.0):
    def compute_loss(batch):
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch["labels"].reshape(-1))

    result = []
    for batch in batches:
        optimizer.zero_grad()
        compute_loss(batch).backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            result.append(compute_loss(batch).item())
    return result


def answer_06(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
        optimizer.zero_grad()
        loss.backward()
        for p in model.parameters():
            if p.grad is not None:
                nn.utils.clip_grad_norm_([p], max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_07(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        logits = model(batch["input_ids"]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_08(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    optimizer.zero_grad()
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        keep = batch["labels"] != -100
        logp = F.log_softmax(logits[keep], -1)
        loss = -logp.gather(1, batch["labels"][keep].unsqueeze(1)).mean()
        loss.backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        norm = torch.sqrt(sum(g.pow(2).sum() for g in grads))
        if norm > max_grad_norm:
            for g in grads:
                g.mul_(max_grad_norm / norm)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
    return losses


def answer_09(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for step in range(len(batches)):
        batch = batches[step]
        output = model(batch["input_ids"], batch["attention_mask"])
        loss = nn.CrossEntropyLoss(ignore_index=-100)(output.logits.permute(0, 2, 1), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=max_grad_norm)
        optimizer.step()
        schedule.step()
        losses += [loss.item()]
    return losses


def answer_10(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    running = 0.0
    for i, batch in enumerate(batches):
        optimizer.zero_grad()
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        running += loss.item()
        losses.append(running / (i + 1))
    return losses


def answer_11(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        schedule.step()
        optimizer.step()
    return losses


def answer_12(model, batches, optimizer, schedule, max_grad_norm=1.0):
    losses = []
    for batch in batches:
        logits = model(batch["input_ids"], batch["attention_mask"]).logits
        loss_fct = nn.CrossEntropyLoss(reduction="none")
        loss = loss_fct(logits.flatten(0, 1), batch["labels"].flatten()).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
