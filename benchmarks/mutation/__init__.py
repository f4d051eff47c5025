"""Mutation testing: small changes of minibert's code, one at a time, must make a test fail.

    python -m benchmarks.mutation --out benchmarks/mutation.md   all folders
    python -m benchmarks.mutation minibert/equations             one folder or file
    python -m benchmarks.mutation --sample 60 --seed 7           a random sample

1. The tests run once, and reach.py notes which lines each test reaches, and how long it takes.
2. mutants.py makes the mutants: files with one change each, by the rules of the classroom (minibert/classroom/changes.py).
3. judge.py runs the tests that reach the changed line, in a copy of the process in which the functions have the changed code,
   until one test fails. guard.py lets such a copy delete and move files in its own folder only.
4. report.py counts. Each mutant that no test notices has a reason in reasons.toml, or is a test that is missing.
"""
