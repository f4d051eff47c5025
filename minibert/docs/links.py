"""An extension of Sphinx: links to files of the repository, such as `../minibert/observe.py` in a guide.

A page of the site is linked as such, a module of the API reference as its source page. Any other Python file gets a source page
of its own, with an anchor for each class and function, and files of other kinds are copied.
"""

import posixpath
import re
import shutil
from collections.abc import Collection, Iterator, Set
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from minibert.docs.layout import document_of, file_of

FOLDER = "source"
"""Folder of the site for source pages and copied files."""
BACK_LINK = re.compile(r'id="([\w.]+)">\n<a class="viewcode-back" href="([^"#]*api/([\w.]+)\.html)#[^"]*"')
"""A class or function in a source page of viewcode, and its link to the page of a module in the reference."""
logger = logging.getLogger(__name__)


class FileRole(SphinxRole):
    """A link to a file of the repository: :repository:`tests/test_files.py::test_name`, or with the name of a class."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the link."""
        path, _, anchor = self.text.partition("::")
        link = file_link(self.env, path, anchor, nodes.literal(self.text, self.text))
        self.set_source_info(link)
        return [link], []


def file_link(env: BuildEnvironment, path: str, anchor: str, *content: nodes.Node) -> nodes.Element:
    """Return a link to a file of the repository. It is resolved when all pages are known.

    Args:
        path: relative to the repository.
        anchor: a heading of a page, or a class or function in a Python file; or empty.
        content: the text of the link.
    """
    link = pending_xref("", *content, refdomain="", reftype="repository", reftarget=path, anchor=anchor)
    link["refdoc"] = env.current_document.docname
    linked_files(env).setdefault(env.current_document.docname, set()).add(path)
    return link


def linked_files(env: Any) -> dict[str, set[str]]:
    """Return the files of the repository that each document links to."""
    if not hasattr(env, "minibert_linked_files"):
        env.minibert_linked_files = {}
    found: dict[str, set[str]] = env.minibert_linked_files
    return found


def find_links(app: Sphinx, document: nodes.document) -> None:
    """Replace the links of Markdown to files by links to the files of the repository."""
    docname = app.env.current_document.docname
    folder = posixpath.dirname(file_of(docname))
    for node in [*document.findall(pending_xref)]:
        if node.get("reftype") == "myst" and (target := str(node["reftarget"])) and "refdomain" in node:
            if node["refdomain"] == "doc":
                continue
            path, _, anchor = target.partition("#")
            path = posixpath.normpath(posixpath.join(folder, path))
            if (app.config.repository / path).exists():
                link = file_link(app.env, path, anchor, *node.children)
                link.source, link.line = node.source, node.line
                node.replace_self(link)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    """Return the link to a page or a file of the site, for a link to a file of the repository.

    If its text is the path of the file that a page is written in, it has the title of the page.
    """
    if node["reftype"] != "repository":
        return None
    path, anchor = node["reftarget"], node["anchor"]
    if not (app.config.repository / path).is_file():
        logger.warning("%s: there is no such file in the repository", path, location=node)
        return content
    if content.astext() == path and (document := document_of(path)) in env.titles:
        content = nodes.inline("", env.titles[document].astext())
    place = place_of(path, env.all_docs, viewed_modules(env))
    address = posixpath.relpath(place, posixpath.dirname(node["refdoc"]) or ".") + (f"#{anchor}" if anchor else "")
    return nodes.reference("", "", content, internal=True, refuri=address)


def place_of(path: str, documents: Collection[str], modules: Collection[str]) -> str:
    """Return the place of a file of the repository in the site.

    Args:
        path: the file, relative to the repository.
        documents: the pages of the site.
        modules: the modules that have a source page by sphinx.ext.viewcode.
    """
    if (document := document_of(path)) in documents:
        return f"{document}.html"
    if (module := module_of(path)) in modules:
        return f"_modules/{module.replace('.', '/')}.html"
    return f"{FOLDER}/{path}.html" if path.endswith(".py") else f"{FOLDER}/{path}"


def module_of(path: str) -> str:
    """Return the name of the module in a file, such as minibert.observe. Of other files, it is the name of no module."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def viewed_modules(env: Any) -> Set[str]:
    """Return the modules that have a source page by sphinx.ext.viewcode."""
    return {name for name, entry in getattr(env, "_viewcode_modules", {}).items() if entry}


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the source pages, and copy the files that are not Python."""
    modules = viewed_modules(app.env)
    for path in sorted(set().union(*linked_files(app.env).values())):
        file, place = app.config.repository / path, place_of(path, app.env.all_docs, modules)
        if not place.startswith(f"{FOLDER}/") or not file.is_file():
            continue
        if place.endswith(".py.html"):
            html = source_html(app.builder.highlighter, file.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
            yield place.removesuffix(".html"), {"title": path, "body": f"<h1>{path}</h1>\n{html}"}, "page.html"
        else:
            copy = Path(app.outdir) / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def source_html(highlighter: Any, code: str) -> str:
    """Return highlighted Python code, with an anchor at each class and function that is not inside of another one."""
    before, _, highlighted = highlighter.highlight_block(code, "python").partition("<pre>")
    lines = highlighted.split("\n")
    names = [re.match(r"(?:class|(?:async )?def) (\w+)", line) for line in code.strip("\n").split("\n")]
    anchored = [f'<span id="{found[1]}"></span>{line}' if found else line for line, found in zip(lines, names, strict=False)]
    return f"{before}<pre>" + "\n".join(anchored + lines[len(anchored) :])


def correct_source_page(app: Sphinx, page: str, template: str, context: dict[str, Any], document: object) -> None:
    """Correct the links of a source page of viewcode to the reference."""
    if page.startswith("_modules/"):
        context["body"] = with_back_links(context["body"])


def with_back_links(html: str) -> str:
    """Correct links to the reference: names of one file, such as `minibert.load` and `minibert.model.Checkpoint`, may be
    documented under several modules, where viewcode supposes one.
    """
    return BACK_LINK.sub(r'id="\1">\n<a class="viewcode-back" href="\2#\3.\1"', html)


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the links of a document that will be parsed again."""
    linked_files(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: Set[str], other: BuildEnvironment) -> None:
    """Take over the links that another process found."""
    linked_files(env).update({name: files for name, files in linked_files(other).items() if name in docnames})


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_config_value("repository", None, "env", types=(type(Path()),))
    app.add_role("repository", FileRole())
    app.connect("doctree-read", find_links)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("missing-reference", resolve)
    app.connect("html-collect-pages", source_pages)
    app.connect("html-page-context", correct_source_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
