"""The fallback chain of locales, and their spelling."""

import pytest

from bellhouse.templates.locale import chain, choose, normalized


def test_the_chain_goes_from_the_particular_to_the_default() -> None:
    assert chain("pt-BR", "en") == ("pt-BR", "pt", "en")
    assert chain("zh-Hant-TW", "zh") == ("zh-Hant-TW", "zh-Hant", "zh")
    assert chain("en", "en") == ("en",)


def test_a_locale_is_found_however_it_is_spelled() -> None:
    assert choose("PT_br", "en", ("en", "pt-BR")) == "pt-BR"
    assert choose("fr-CA", "en", ("en", "pt-BR")) == "en"
    assert choose("fr-CA", "en", ("pt",)) is None


@pytest.mark.parametrize(
    ("given", "usual"),
    [("EN", "en"), ("pt_br", "pt-BR"), ("zh-hant-tw", "zh-Hant-TW"), ("es-419", "es-419"), ("de-1996", "de-1996")],
)
def test_the_usual_spelling(given: str, usual: str) -> None:
    assert normalized(given) == usual


@pytest.mark.parametrize("wrong", ["", "e", "english", "en-", "-en", "en--GB", "en GB", "../en", "en-GB\n", "é"])
def test_what_is_no_locale_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a locale"):
        normalized(wrong)
