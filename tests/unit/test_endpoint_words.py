"""What an endpoint says, made fit to be shown and stored."""

from hypothesis import given
from hypothesis import strategies as st

from backend.content.errors import ErrorKind
from backend.settings import Settings
from workers.generators.endpoint import Endpoint

KEY = "tok/en+0123456789="


def make_endpoint(**changes):
    values = {"openai_base_url": "https://ops:hunter2@models.example.org:8443/v1?token=s3cret-token",
              "openai_api_key": KEY}
    return Endpoint.of(Settings(**(values | changes)))


def test_the_address_holds_no_password_and_no_query():
    assert make_endpoint().address == "https://models.example.org:8443"


def test_a_representation_of_an_endpoint_does_not_show_its_key():
    assert KEY not in repr(make_endpoint())


@given(before=st.text(max_size=700), after=st.text(max_size=700))
def test_whatever_surrounds_a_secret_it_is_never_repeated(before, after):
    for secret in (KEY, "hunter2", "s3cret-token", "tok%2Fen%2B0123456789%3D"):
        said = make_endpoint().clean(f"{before}{secret}{after}")

        assert secret not in said.replace("***", "\x00")
        assert len(said) <= 500


@given(st.text(st.characters(), max_size=2000))
def test_whatever_an_endpoint_says_becomes_one_short_line_that_can_be_stored(words):
    error = make_endpoint().error(ErrorKind.MODEL_SERVER_ERROR, "It failed.", words)

    assert len(error.message) <= 500
    assert "\n" not in error.message
    assert "\x00" not in error.message
    error.message.encode()


def test_keys_and_passwords_of_others_are_hidden_too():
    said = make_endpoint().clean(
        "sk-proj-abc12345 was sent as Bearer abc.def-ghi to postgres://admin:pw@db.example.org/x")

    assert said == "*** was sent as Bearer *** to postgres://***@db.example.org/x"


def test_ordinary_words_stay_as_they_are():
    words = "Rate limit reached for gpt-5-mini in organization org-1: 3 < 5 requests. See https://example.org/limits"

    assert make_endpoint().clean(words) == words


def test_a_web_page_is_reduced_to_its_words():
    assert make_endpoint().clean("<html><style>b {}</style><h1>502 Bad\n Gateway</h1></html>") == "502 Bad Gateway"


def test_without_a_key_a_placeholder_is_sent():
    endpoint = make_endpoint(openai_api_key=None)

    assert endpoint.key == "no-key-needed"
    assert endpoint.clean("no-key-needed") == "no-key-needed"
