# ruff: noqa
"""Answers of students to the exercise lora_initialization."""

import math
import torch
from torch import nn


def answer_01(self):
    nn.init.zeros_(self.lora_a)
    nn.init.zeros_(self.lora_b)


def answer_02(self):
    nn.init.zeros_(self.lora_a)
    nn.init.kaiming_uniform_(self.lora_b, a=math.sqrt(5))


def answer_03(self):
    nn.init.kaiming_uniform_(self.lora_a)
    nn.init.zeros_(self.lora_b)


def answer_04(self):
    nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))


def answer_05(self):
    bound = 1 / math.sqrt(self.rank)
    with torch.no_grad():
        self.lora_a.uniform_(-bound, bound)
        self.lora_b.zero_()


def answer_06(self):
    nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
    nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
    nn.init.zeros_(self.lora_b)


def answer_07(self):
    bound = self.in_features**-0.5
    with torch.no_grad():
        self.lora_a.copy_((torch.rand(self.lora_a.shape) * 2 - 1) * bound)
        self.lora_b.fill_(0.0)


def answer_08(self):
    nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
    nn.init.zeros_(self.lora_b)


def answer_09(self):
    nn.init.normal_(self.lora_a, std=1 / math.sqrt(self.in_features))
    nn.init.zeros_(self.lora_b)


def answer_10(self):
    bound = 1 / math.sqrt(self.in_features)
    self.lora_a.data = torch.rand_like(self.lora_a) * bound
    self.lora_b.data.zero_()
