"""A fourth set of answers, by another author: a module for each exercise, a function `answer_N` for each answer."""
