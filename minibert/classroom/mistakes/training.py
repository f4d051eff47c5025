"""Mistakes in the training loop."""

from minibert.classroom.mistakes.mistake import Mistake
from minibert.classroom.references import training_steps

TRAINING_MISTAKES = [
    Mistake(
        "gradients not reset",
        training_steps,
        (("        optimizer.zero_grad()\n", ""),),
        "The gradients of all steps are summed.",
        "Steps become longer and longer, and follow old gradients.",
        "learners: zero_grad forgotten",
        message="You did not reset the gradients, so they are summed over the steps.",
    ),
    Mistake(
        "parameters never change",
        training_steps,
        (("        optimizer.step()\n", ""),),
        "The optimizer makes no step, or has no gradients in it.",
        "The loss does not fall.",
        "learners: step forgotten; zero_grad between backward and step",
        message=("You never change the parameters: `optimizer.step()` is missing, or the gradients are reset before it."),
    ),
    Mistake(
        "step before the backward pass",
        training_steps,
        (
            ("        optimizer.step()\n", ""),
            ("        schedule.step()\n        optimizer.zero_grad()\n", ""),
            (
                "        loss.backward()",
                ("        optimizer.step()\n        schedule.step()\n        optimizer.zero_grad()\n        loss.backward()"),
            ),
        ),
        "Each step uses the gradient of the batch before.",
        "The first step does nothing, and each gradient is one step old.",
        "learners, by mistake",
        message="You made the step before the backward pass, so it uses the gradient of the batch before.",
    ),
    Mistake(
        "gradients not clipped",
        training_steps,
        (("        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n", ""),),
        "The gradients are not clipped, or only after the step.",
        "One bad batch can ruin the model.",
        "learners",
        message="You did not clip the gradients between the backward pass and the step.",
    ),
    Mistake(
        "gradients clipped by value",
        training_steps,
        (("clip_grad_norm_(", "clip_grad_value_("),),
        "Each element is clipped, instead of the norm.",
        "The direction of the gradient changes.",
        "learners: clip_grad_value_",
        message="You clipped each element. The norm of all gradients is clipped.",
    ),
    Mistake(
        "maximum norm ignored",
        training_steps,
        (("model.parameters(), max_grad_norm)", "model.parameters(), 1.0)"),),
        "Gradients are always clipped to norm 1.",
        "The setting has no effect.",
        "learners",
        message="You clipped to norm 1, not to `max_grad_norm`.",
    ),
    Mistake(
        "schedule forgotten",
        training_steps,
        (("        schedule.step()\n", ""),),
        "The learning rate does not change from step to step.",
        "There is no warm-up and no decay.",
        "learners",
        message="You did not advance the schedule after each step.",
    ),
    Mistake(
        "schedule before the optimizer",
        training_steps,
        (("        optimizer.step()\n        schedule.step()\n", "        schedule.step()\n        optimizer.step()\n"),),
        "The learning rate of the next step is used.",
        "The schedule is one step ahead. PyTorch warns of it.",
        "code for PyTorch before 1.1",
        message="You advanced the schedule before the step, so each step has the learning rate of the next one.",
    ),
    Mistake(
        "labels of all tokens",
        training_steps,
        (('batch["labels"])', 'torch.where(batch["labels"] < 0, batch["input_ids"], batch["labels"]))'),),
        "Tokens that are not masked have a loss too.",
        "Copying visible tokens is easy, and it dominates the loss.",
        "learners",
        message="You computed the loss of all tokens, not only of the masked ones.",
    ),
    Mistake(
        "training in evaluation mode",
        training_steps,
        (("    model.train()\n", ""),),
        "The model stays in evaluation mode.",
        "There is no dropout: overfitting on small data.",
        "learners who evaluate between steps",
        message="You did not set the training mode, so there is no dropout.",
    ),
    Mistake(
        "attention mask forgotten",
        training_steps,
        (('model(batch["input_ids"], batch["attention_mask"])', 'model(batch["input_ids"])'),),
        "Tokens attend to padding.",
        "The predictions depend on the amount of padding.",
        "learners",
        message="You did not pass the attention mask.",
    ),
    Mistake(
        "loss made larger",
        training_steps,
        (("loss.backward()", "(-loss).backward()"),),
        "The gradient is that of the negative loss.",
        "The loss grows.",
        "learners, by mistake",
        message="You negated the loss, so each step makes it larger.",
    ),
    Mistake(
        "one step for all batches",
        training_steps,
        (
            (
                (
                    "        nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n        optimizer.step()\n   "
                    "     schedule.step()\n        optimizer.zero_grad()\n"
                ),
                "",
            ),
            (
                "    return losses",
                (
                    "    nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)\n    optimizer.step()\n    "
                    "schedule.step()\n    optimizer.zero_grad()\n    return losses"
                ),
            ),
        ),
        "The gradients of all batches are summed for one step.",
        "There are as many steps as epochs.",
        "learners: wrong indentation",
        message="You made one step after all batches. Each batch has its own step.",
    ),
    Mistake(
        "losses after the step",
        training_steps,
        (
            (
                "losses.append(loss.item())",
                (
                    'losses.append(masked_lm_loss(model(batch["input_ids"], batch["attention_mask"]).logits, '
                    'batch["labels"]).item())'
                ),
            ),
        ),
        "The loss of each batch is computed again after its step.",
        "The loss of a batch that was just trained looks too good.",
        "learners",
        message="You returned the losses after each step. They are those before it.",
    ),
    Mistake(
        "gradients reset in every second step",
        training_steps,
        (("        optimizer.zero_grad()\n", "        if len(losses) % 2:\n            optimizer.zero_grad()\n"),),
        "Gradients are reset in every second step only.",
        "Every second step uses the gradients of two batches.",
        "gradient accumulation without a condition for the step",
        message="You reset the gradients in every second step only.",
    ),
    Mistake(
        "each parameter clipped",
        training_steps,
        (
            (
                "nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)",
                "[nn.utils.clip_grad_norm_([parameter], max_grad_norm) for parameter in model.parameters()]",
            ),
        ),
        "The gradient of each parameter is clipped by its own norm.",
        "The direction of the whole gradient changes.",
        "learners: a loop over the parameters",
        message="You clipped the gradient of each parameter by its own norm. The norm is that of all gradients together.",
    ),
    Mistake(
        "mean of the losses so far",
        training_steps,
        (("losses.append(loss.item())", "losses.append((sum(losses[-1:]) * len(losses) + loss.item()) / (len(losses) + 1))"),),
        "The mean of all losses so far is returned for each batch.",
        "The curve is smooth, and late changes hardly show.",
        "learners: progress bars",
        message="You returned the mean of the losses so far. The result is the loss of each batch.",
    ),
]
