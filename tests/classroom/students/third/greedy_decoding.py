# ruff: noqa
"""Answers of students to the exercise greedy_decoding."""

import torch


def answer_01(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(tokens).argmax(dim=-1)
        nxt = torch.where(done, pad_token_id, nxt)
        tokens = torch.cat([tokens, nxt[:, None]], dim=1)
        done = done | (nxt == eos_token_id)
        if done.all():
            break
    return tokens


def answer_02(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt
    finished = torch.zeros(len(prompt), dtype=torch.bool)
    for i in range(max_new_tokens):
        token = next_logits(ids).argmax(-1)
        ids = torch.cat((ids, token.unsqueeze(-1)), dim=-1)
        finished |= token == eos_token_id
        if finished.all():
            break
    return ids[:, prompt.shape[1] :]


def answer_03(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt.clone()
    finished = torch.zeros(len(prompt), dtype=torch.bool)
    for i in range(max_new_tokens):
        token = next_logits(ids).argmax(-1).masked_fill(finished, pad_token_id)
        ids = torch.cat((ids, token.unsqueeze(-1)), dim=-1)
        finished = finished | (token == eos_token_id)
        if finished.any():
            break
    return ids[:, prompt.shape[1] :]


def answer_04(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    out = []
    active = torch.ones(prompt.shape[0], dtype=torch.bool)
    while len(out) < max_new_tokens and active.any():
        best = next_logits(prompt).argmax(-1)
        best = torch.where(active, best, torch.full_like(best, pad_token_id))
        out.append(best)
        active = active & (best != eos_token_id)
    return torch.stack(out, dim=1) if out else prompt[:, :0]


def answer_05(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    unfinished = torch.ones(prompt.shape[0], dtype=torch.long)
    for _ in range(1, max_new_tokens):
        if unfinished.max() == 0:
            break
        best = torch.argmax(next_logits(tokens), dim=-1)
        best = best * unfinished + pad_token_id * (1 - unfinished)
        tokens = torch.cat([tokens, best[:, None]], dim=-1)
        unfinished = unfinished * (best != eos_token_id).long()
    return tokens[:, prompt.shape[1] :]


def answer_06(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        new = next_logits(tokens).argmax(dim=-1)
        done = done | (new == eos_token_id)
        new[done] = pad_token_id
        tokens = torch.cat([tokens, new.unsqueeze(1)], dim=1)
        if torch.all(done):
            break
    return tokens[:, prompt.size(1) :]


def answer_07(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        probs = next_logits(tokens).softmax(-1)
        new = torch.multinomial(probs, 1).squeeze(1)
        new = torch.where(done, pad_token_id, new)
        tokens = torch.cat([tokens, new[:, None]], dim=1)
        done = done | (new == eos_token_id)
        if done.all():
            break
    return tokens[:, prompt.size(1) :]


def answer_08(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    columns = []
    text = prompt
    alive = [True] * len(prompt)
    while any(alive) and len(columns) < max_new_tokens:
        best = next_logits(text).max(dim=-1).indices.tolist()
        column = [[token if a else pad_token_id] for token, a in zip(best, alive)]
        alive = [a and token != eos_token_id for token, a in zip(best, alive)]
        columns.append(torch.tensor(column, dtype=prompt.dtype))
        text = torch.cat([text, columns[-1]], dim=1)
    return torch.cat(columns, dim=1) if columns else prompt[:, :0]


def answer_09(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    batch, n = prompt.shape
    buffer = prompt.new_full((batch, n + max_new_tokens), pad_token_id)
    buffer[:, :n] = prompt
    finished = torch.zeros(batch, dtype=torch.bool)
    end = n
    while end < n + max_new_tokens and not finished.all():
        best = next_logits(buffer[:, :end]).argmax(1)
        buffer[~finished, end] = best[~finished]
        finished = finished | (best == eos_token_id)
        end += 1
    return buffer[:, n:end]


def answer_10(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        new = next_logits(tokens).argmax(dim=-1)
        new[done] = eos_token_id
        tokens = torch.cat([tokens, new.unsqueeze(1)], dim=1)
        done = done | (new == eos_token_id)
        if torch.all(done):
            break
    return tokens[:, prompt.size(1) :]


def answer_11(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        new = next_logits(tokens).argmax(dim=-1)
        new = new.masked_fill(done, pad_token_id)
        tokens = torch.cat([tokens, new[:, None]], dim=-1)
        done |= new.eq(eos_token_id)
    return tokens[:, prompt.size(1) :]


def answer_12(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    for _ in range(max_new_tokens):
        done = (tokens == eos_token_id).any(dim=1)
        if done.all():
            break
        new = next_logits(tokens).argmax(dim=-1)
        new = torch.where(done, pad_token_id, new)
        tokens = torch.cat([tokens, new[:, None]], dim=1)
    return tokens[:, prompt.size(1) :]
