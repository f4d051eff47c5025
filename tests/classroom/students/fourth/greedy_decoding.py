# ruff: noqa
"""Answers of students to the exercise greedy_decoding."""

import torch


def answer_01(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(tokens).argmax(-1)
        nxt = torch.where(done, torch.full_like(nxt, pad_token_id), nxt)
        tokens = torch.cat([tokens, nxt[:, None]], dim=1)
        done = done | (nxt == eos_token_id)
        if done.all():
            break
    return tokens


def answer_02(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    new = torch.empty(prompt.shape[0], 0, dtype=prompt.dtype)
    done = torch.zeros(prompt.shape[0], dtype=torch.bool)
    while new.shape[1] < max_new_tokens and not done.all():
        t = next_logits(prompt).argmax(dim=-1)
        t = t.masked_fill(done, pad_token_id)
        new = torch.cat([new, t.unsqueeze(1)], dim=1)
        done = done | (t == eos_token_id)
    return new


def answer_03(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    text = prompt.clone()
    ended = torch.zeros(prompt.size(0), dtype=torch.bool)
    for i in range(max_new_tokens):
        token = next_logits(text).max(dim=-1).indices
        token[ended] = pad_token_id
        text = torch.cat([text, token.view(-1, 1)], dim=-1)
        ended = ended | (token == eos_token_id)
        if ended.any():
            break
    return text[:, prompt.size(1) :]


def answer_04(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    new = prompt[:, :0]
    active = torch.ones(prompt.shape[0], dtype=torch.long)
    while new.shape[1] < max_new_tokens and active.any():
        logits = next_logits(torch.cat([prompt, new], dim=1))
        token = logits.argmax(-1) * active + pad_token_id * (1 - active)
        new = torch.cat([new, token[:, None]], dim=1)
        active = active * (token != eos_token_id).long()
    return new
