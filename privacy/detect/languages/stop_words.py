"""Read spaCy's stop words (MIT) as data, without importing the package of their language."""

import ast

from privacy.detect.languages.packages import package_file
from shared.errors import ModelError


def stop_words(code: str) -> frozenset[str]:
    """Return spaCy's stop words of a language, in small letters.

    The words are the literal text of one module, which is parsed and not run: spaCy's French package takes seconds to
    import, and a process that reads English needs the French words too, to tell the languages apart.

    Parameters
    ----------
    code
        ISO 639-1 code of a language whose words are one literal text: German, Spanish or French.

    Raises
    ------
    ModelError
        The package is not installed as expected.
    """
    try:
        module = ast.parse(package_file("spacy", f"lang/{code}/stop_words.py").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        module = ast.Module([], [])
    texts = [node.value for node in ast.walk(module) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    words = frozenset(max(texts, key=len, default="").split())
    if not words:
        raise ModelError(f"spacy: its stop words for '{code}' are missing; install spacy again (pip)")
    return words
