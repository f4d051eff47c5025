"""The documentation site: guides, lessons, equations and the API reference, built by Sphinx. It works from `file://`, offline.

`docs/*.md` are its pages and `lessons/*.py` its lessons. This package has the commands' part (`site`, `lessons`, `notebooks`)
and the extensions of Sphinx: formulas as MathML, the fields of docstrings, links to files of the repository.
"""
