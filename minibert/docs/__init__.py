"""The documentation site: guides, lessons, equations and the API reference, built by Sphinx. It works from `file://`, offline.

`docs/*.md` are its pages and `lessons/*.py` its lessons. `site` builds it; `lesson_pages` and `api` write pages. `formulas`,
`docstrings` and `links` are extensions of Sphinx: formulas as MathML, fields of docstrings, links to files of the repository.
"""
