"""Answers of students to the exercises greedy_decoding, top_k_filter, top_p_filter and shift_right."""

import torch


def greedy_01(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt
    done = torch.zeros(len(prompt), dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(tokens).argmax(-1)
        nxt = torch.where(done, pad_token_id, nxt)
        tokens = torch.cat([tokens, nxt[:, None]], dim=1)
        done |= nxt == eos_token_id
        if done.all():
            break
    return tokens


def greedy_02(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    tokens = prompt.clone()
    done = torch.zeros(prompt.size(0), dtype=torch.bool)
    for _ in range(max_new_tokens):
        nxt = next_logits(tokens).argmax(dim=-1)
        tokens = torch.cat((tokens, nxt.unsqueeze(1)), 1)
        done = done | (nxt == eos_token_id)
        if bool(done.all()):
            break
    return tokens[:, prompt.size(1) :]


def greedy_03(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    x, finished = prompt, torch.zeros(prompt.shape[0], dtype=torch.bool)
    for _ in range(max_new_tokens):
        y = next_logits(x).argmax(-1).masked_fill(finished, pad_token_id)
        x = torch.cat([x, y[:, None]], -1)
        finished = finished | y.eq(eos_token_id)
        if finished.any():
            break
    return x[:, prompt.shape[1] :]


def greedy_04(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    ids = prompt
    for _ in range(max_new_tokens):
        ids = torch.cat([ids, next_logits(ids).argmax(-1, keepdim=True)], 1)
        if (ids[:, prompt.shape[1] :] == eos_token_id).any(1).all():
            break
    return ids


def greedy_05(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    def extend(tokens, done, left):
        if left == 0 or done.all():
            return tokens[:, prompt.shape[1] :]
        best = torch.where(done, torch.full_like(tokens[:, 0], pad_token_id), next_logits(tokens).max(-1).indices)
        return extend(torch.hstack([tokens, best[:, None]]), done | (best == eos_token_id), left - 1)

    return extend(prompt, torch.zeros(len(prompt), dtype=torch.bool), max_new_tokens)


def greedy_06(next_logits, prompt, eos_token_id, max_new_tokens, pad_token_id=0):
    rows = prompt.tolist()
    start = prompt.shape[1]
    open_rows = set(range(len(rows)))
    while open_rows and len(rows[0]) - start < max_new_tokens:
        logits = next_logits(torch.tensor(rows, dtype=prompt.dtype))
        for i, row in enumerate(rows):
            token = int(logits[i].argmax()) if i in open_rows else pad_token_id
            row.append(token)
            if token == eos_token_id:
                open_rows.discard(i)
    return torch.tensor([row[start:] for row in rows], dtype=prompt.dtype).reshape(len(rows), -1)


def top_k_01(logits, k):
    threshold = logits.topk(k, dim=-1).values[..., -1:]
    return torch.where(logits < threshold, torch.zeros_like(logits), logits)


def top_k_02(logits, k):
    threshold = logits.sort(dim=-1, descending=True).values[..., k - 1, None]
    return logits.masked_fill(logits <= threshold, -torch.inf)


def top_k_03(logits, k):
    higher = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    return logits.masked_fill(higher >= k, float("-inf"))


def top_p_01(logits, p):
    ordered, index = logits.sort(dim=-1, descending=True, stable=True)
    total = ordered.softmax(-1).cumsum(-1)
    remove = total > p
    remove[..., 0] = False
    return logits.masked_fill(torch.zeros_like(remove).scatter(-1, index, remove), -torch.inf)


def top_p_02(logits, p):
    probs = logits.softmax(-1)
    return logits.masked_fill(probs < 1 - p, -torch.inf)


def shift_01(labels, start, padding):
    return torch.cat([torch.full_like(labels[:, :1], start), labels[:, :-1]], dim=1)


def shift_02(labels, start, padding):
    out = torch.roll(labels, -1, dims=1)
    out[:, -1] = start
    return out.masked_fill(out == -100, padding)


def shift_03(labels, start, padding):
    out = torch.roll(labels, 1, dims=1)
    out[:, 0] = start
    return torch.where(out == -100, padding, out)


def shift_04(labels, start, padding):
    rows = [[start, *(padding if t == -100 else t for t in row[:-1])] for row in labels.tolist()]
    return torch.tensor(rows, dtype=labels.dtype).reshape(labels.shape)
