"""The API is what its OpenAPI document says, whatever it is asked.

schemathesis asks every operation what its schema allows and what it forbids. Rule: no answer is a
5xx, and each has a status, a content type, headers and a body that the document has for it.

It is always asked the same: the examples are derived from the document, not drawn.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from gateway.httpsettings import HttpSettings
from gateway.web.app import create_app
from gateway.web.context import Web
from tests.browser.site import Site
from tests.http.conftest import TIMEOUT

STREAMS = ["/v1/attempts/stream"]
"""They never end: ``test_attempts`` reads them."""
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def document() -> dict[str, Any]:
    """The document as a gateway serves it; none needs to run for it."""
    web = cast(Web, SimpleNamespace(http=HttpSettings()))
    return create_app(web, version="0").openapi()


schema = schemathesis.openapi.from_dict(document()).exclude(path=STREAMS)


@schema.parametrize()
@settings(
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_document_has(
    case: schemathesis.Case[Any], site: Site
) -> None:
    case.call_and_validate(
        base_url=site.url,
        checks=CHECKS,
        headers={"Authorization": f"Bearer {site.token}"},
        timeout=TIMEOUT,
    )


def test_the_document_is_the_one_that_is_served(admin: httpx.Client) -> None:
    served, own = admin.get("/openapi.json").json(), json.loads(json.dumps(document()))
    assert served["openapi"].startswith("3.1")
    assert served["paths"] == own["paths"]
    assert served["components"] == own["components"]


SURROGATE = rb'"\ud800"'
QUESTIONS = [
    ("GET", "/v1/entries?covers=%00", b""),
    ("GET", "/v1/entries?after=m9999999999999999999", b""),
    ("GET", "/v1/entries?text=%ff%fe", b""),
    ("GET", "/v1/entries?digits=%D9%A1%D9%A2", b""),
    ("GET", "/v1/entries/99999999999999999999999", b""),
    ("GET", "/v1/changes?after=9999999999999999999", b""),
    ("GET", "/v1/changes?limit=1e400", b""),
    ("POST", "/v1/changes/99999999999999999999999/undo", b""),
    ("GET", "/v1/attempts?number=%00&since=nan", b""),
    ("GET", "/v1/attempts?since=1e308&until=-inf", b""),
    ("GET", "/v1/attempts/%00", b""),
    ("GET", "/v1/attempts.csv?entry=%00%27%22", b""),
    ("GET", "/v1/stats?since=1e308&until=nan", b""),
    ("GET", "/v1/stats?until=0&campaign=%00", b""),
    ("POST", "/v1/check", b'{"number":%s}' % SURROGATE),
    ("POST", "/v1/check", b'{"number":"+33612000000","trunk":%s}' % SURROGATE),
    ("POST", "/v1/check", b'{"number":"\\u0000","at":1e400}'),
    ("POST", "/v1/explain", b'{"caller":%s,"callee":"112"}' % SURROGATE),
    ("POST", "/v1/entries", b'{"number":%s}' % SURROGATE),
    ("POST", "/v1/entries", b'{"number":"+33612000000","reason":%s}' % SURROGATE),
    ("POST", "/v1/entries", b'{"number":"+33612000000","reason":"\\u0000"}'),
    ("POST", "/v1/entries", b'{"number":"+33612000000","expires":%s}' % SURROGATE),
    ("POST", "/v1/entries/preview", b'{"number":"+33612000000","reason":%s}' % SURROGATE),
    ("POST", "/v1/entries/batch", b'[{"number":%s}]' % SURROGATE),
    ("POST", "/v1/entries/batch", b"[" * 100_000),
    ("PATCH", "/v1/entries/1", b'{"reason":%s}' % SURROGATE),
    ("POST", "/v1/policy/reload", b'{"force":%s}' % SURROGATE),
    ("POST", "/v1/screen", b'{"direction":"inbound","caller":%s,"callee":""}' % SURROGATE),
    ("POST", "/v2/Account/Blacklist", b"[%s]" % SURROGATE),
    ("POST", "/v2/Account/Blacklist/Search", b"%s" % SURROGATE),
]


@pytest.mark.parametrize(("method", "path", "body"), QUESTIONS)
def test_what_no_schema_thinks_of_fails_nothing(
    admin: httpx.Client, method: str, path: str, body: bytes
) -> None:
    sent = {"Content-Type": "application/json"} if body else {}
    answer = admin.request(method, path, content=body, headers=sent)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
