import pytest
from hypothesis import given
from hypothesis import strategies as st

from cord.fingerprint import canonical_bytes, fingerprint


def test_the_order_of_keys_does_not_matter_and_that_of_lists_does() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), b"bytes"])
def test_what_has_no_stable_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        canonical_bytes(value)


@given(st.text())
def test_any_text_has_a_fingerprint(text: str) -> None:
    assert len(fingerprint(text)) == 64
