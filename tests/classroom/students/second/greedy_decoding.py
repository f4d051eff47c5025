# ruff: noqa
"""Answers of students to the exercise greedy_decoding."""

import torch


def answer_01(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        if done.all():
            break
        nxt = next_logits(ids).argmax(-1)
        ids = torch.cat([ids, nxt[:, None]], dim=1)
        done |= nxt == eos_token_id
    return ids[:, prompt.shape[1] :]


def answer_02(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt.clone()
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        if done.all():
            break
        nxt = next_logits(ids).argmax(-1).masked_fill(done, pad_token_id)
        ids = torch.cat([ids, nxt[:, None]], dim=1)
        done |= nxt == eos_token_id
    return ids


def answer_03(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(ids).argmax(-1)
        nxt = torch.where(done, pad_token_id, nxt)
        ids = torch.cat([ids, nxt.unsqueeze(1)], dim=1)
        done = done | (nxt == eos_token_id)
        if done.any():
            break
    return ids[:, prompt.shape[1] :]


def answer_04(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    cur, out = prompt, []
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        if done.all():
            break
        nxt = torch.where(done, pad_token_id, next_logits(cur).argmax(-1))
        out.append(nxt)
        done = done | (nxt == eos_token_id)
        cur = nxt[:, None]
    return torch.stack(out, 1) if out else prompt[:, :0]


def answer_05(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(ids).argmax(dim=-1)
        nxt = torch.where(done, torch.full_like(nxt, pad_token_id), nxt)
        ids = torch.cat([ids, nxt[:, None]], dim=1)
        done |= nxt == eos_token_id
        if bool(done.all()):
            break
    return ids[:, prompt.shape[1] :]
