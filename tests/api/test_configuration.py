import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from penstock.api import configuration_page
from penstock.api.configuration import Configuration, ConfigurationError, LogFormat, load

ROOT = Path(__file__).parents[2]
LEAST = "connections: {prometheus: {url: 'http://p:9090'}}\n"


def test_the_least_that_must_be_written_is_one_connection():
    read = load(LEAST)
    connection = read.connections["prometheus"]
    assert connection.url == "http://p:9090"
    assert (connection.lag, connection.timeout) == (timedelta(seconds=15), timedelta(seconds=5))
    assert (connection.max_series, connection.namespaces) == (10_000, None)
    assert (read.propagation_delay, read.namespaces) == (timedelta(seconds=2), None)
    assert (read.cluster_domain, read.mesh_root_namespace) == ("cluster.local", "istio-system")
    assert read.catalogue_namespace == "penstock-system"
    assert (read.health_port, read.metrics_port) == (8080, 9090)
    assert read.log_format is LogFormat.JSON


def test_all_that_may_be_written_is_read():
    read = load(
        """
        connections:
          main:
            kind: prometheus
            url: https://prometheus.monitoring:9090/base/
            tls: {caFile: /ca.crt, certFile: /tls.crt, keyFile: /tls.key}
            auth: {basic: {username: me, passwordFile: /password}}
            tenantHeader: {name: X-Scope-OrgID, value: team a}
            lag: 50ms
            timeout: 1m30s
            maxSeries: 5
            namespaces: [ml, shop]
        propagationDelay: 500ms
        namespaces: [ml]
        clusterDomain: corp.example
        meshRootNamespace: mesh
        catalogueNamespace: catalogue
        healthPort: 1
        metricsPort: 65535
        logFormat: text
        """
    )
    connection = read.connections["main"]
    assert connection.url == "https://prometheus.monitoring:9090/base"
    assert connection.tls.ca_file == "/ca.crt"
    assert connection.auth.basic.username == "me"
    assert connection.tenant_header.value == "team a"
    assert connection.lag == timedelta(milliseconds=50)
    assert connection.namespaces == ("ml", "shop")
    assert read.log_format is LogFormat.TEXT


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file must have fields such as `connections:`"),
        ("- a", "the file must have fields such as `connections:`"),
        ("healthPort: 1", "connections is missing"),
        ("connections: {}", "connections: write at least one"),
        ("connections: [a]", "connections: write fields below it, not ['a']"),
        ("connections: {a: }", "connections.a: write fields below it, not None"),
        ("connections: {a: {}}", "connections.a.url is missing"),
        (
            "connections: {A_: {url: 'http://a'}}",
            "connections.A_: write a name of lower-case letters, digits and hyphens",
        ),
        (LEAST + "healthport: 1", "healthport is not a field; did you mean healthPort?"),
        (LEAST + "health_port: 1", "health_port is not a field; did you mean healthPort?"),
        (LEAST + "healthPort: 9090", "the file: healthPort and metricsPort must differ"),
        (
            LEAST + "alertReceiver: {tokenFile: /t, port: 8080}",
            "the file: alertReceiver.port must differ from healthPort and metricsPort",
        ),
        (LEAST + "alertReceiver: {}", "alertReceiver.tokenFile is missing"),
        (
            LEAST + "alertReceiver: {tokenFile: /t, certFile: /c}",
            "alertReceiver: write certFile and keyFile together",
        ),
        (
            LEAST + "alertReceiver: {tokenFile: /t, bindAddress: localhost}",
            "alertReceiver.bindAddress: write an address, such as 127.0.0.1 or ::",
        ),
        (
            LEAST + "alertReceiver: {tokenFile: /t, forgetAfter: 1s}",
            "alertReceiver: forgetAfter must be at least 1m",
        ),
        (LEAST + "healthPort: 0", "healthPort: it should be greater than or equal to 1"),
        (LEAST + "logFormat: xml", "logFormat: write 'json' or 'text'"),
        (LEAST + "namespaces: []", "namespaces: write at least one"),
        (LEAST + "namespaces: [a, B]", "namespaces.1: write a name of lower-case letters, digits"),
        (LEAST + "propagationDelay: 2", "propagationDelay: 2 is not a duration such as 90s"),
        (LEAST + LEAST, "connections stands twice"),
        ("a: [", "the file is not YAML"),
        ("? [a]\n: b", "a key stands twice or is no name"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_to_write(text, sentence):
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert any(sentence in mistake for mistake in caught.value.mistakes)
    assert all("\n" not in mistake for mistake in caught.value.mistakes)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ("url: ftp://a", "url: write http://host:port or https://host:port"),
        ("url: 'http://me:secret@a'", "url: write user and password into auth"),
        ("url: 'http://a?x=1'", "url: write the address without ? and #"),
        ("url: 'http://a:99999'", "url: Port out of range"),
        ("uri: 'http://a'", "uri is not a field; did you mean url?"),
        ("url: 'http://a', kind: mlflow", "kind: write 'prometheus' or 'alertmanager'"),
        ("url: 'http://a', every: 5s", "every is not for kind prometheus"),
        ("url: 'http://a', kind: alertmanager, every: 0s", "every must be at least 1s"),
        ("url: 'http://a', kind: alertmanager, lag: 1s", "lag is not for kind alertmanager"),
        ("url: 'http://a', kind: alertmanager, maxSeries: 1", "maxSeries is not for kind alert"),
        ("url: 'http://a', tls: {caFile: /a}", "tls is for an https address"),
        ("url: 'https://a', tls: {caFile: a}", "tls.caFile: write a path that starts with /"),
        ("url: 'https://a', tls: {ca: /a}", "tls.ca is not a field; did you mean caFile?"),
        ("url: 'https://a', tls: {keyFile: /a}", "tls: write certFile and keyFile together"),
        (
            "url: 'https://a', tls: {caFile: /a, insecureSkipVerify: true}",
            "tls: write caFile or insecureSkipVerify, not both",
        ),
        ("url: 'http://a', auth: {}", "auth: write exactly one of basic, bearerTokenFile"),
        (
            "url: 'http://a', auth: {basic: {username: 'a:b', passwordFile: /p}}",
            "auth.basic.username: write a name without a colon",
        ),
        (
            "url: 'http://a', auth: {token: /t}",
            "auth.token is not a field; there are basic, bearerTokenFile",
        ),
        (
            "url: 'http://a', tenantHeader: {name: Authorization, value: x}",
            "tenantHeader: Authorization is not a tenant",
        ),
        ("url: 'http://a', tenantHeader: {name: 'a b', value: x}", "tenantHeader.name: write"),
        ('url: "http://a", tenantHeader: {name: a, value: "x\\ny"}', "tenantHeader.value: write"),
        ("url: 'http://a', timeout: 0s", "timeout must be more than 0s"),
        ("url: 'http://a', maxSeries: many", "maxSeries: it should be a valid integer"),
        ("url: 'http://a', namespaces: []", "namespaces: write at least one"),
    ],
)
def test_a_mistake_in_a_connection_is_named(fields, sentence):
    with pytest.raises(ConfigurationError) as caught:
        load(f"connections: {{prom: {{{fields}}}}}")
    assert any(mistake.startswith("connections.prom") for mistake in caught.value.mistakes)
    assert any(sentence in mistake for mistake in caught.value.mistakes)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("", frozenset()),
        ("alertReceiver: {tokenFile: /t}", None),
        ("  am: {kind: alertmanager, url: 'http://a'}", None),
        ("  am: {kind: alertmanager, url: 'http://a', namespaces: [ml, shop]}", {"ml", "shop"}),
    ],
)
def test_alerts_are_heard_of_the_namespaces_that_have_a_receiver_or_a_poll(text, heard):
    least = "connections:\n  prometheus: {url: 'http://p:9090'}\n"
    assert load(least + text).heard_namespaces() == heard


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigurationError) as caught:
        load("connections: {a: {url: x, lag: y}}\nlogFormat: z\nfoo: 1")
    assert len(caught.value.mistakes) == 4
    assert str(caught.value).splitlines() == list(caught.value.mistakes)


def test_a_secret_in_the_wrong_place_is_not_repeated():
    with pytest.raises(ConfigurationError) as caught:
        load("connections: {a: {url: 'http://me:secret@a', tenantHeader: {name: a, value: ''}}}")
    assert "secret" not in str(caught.value)


def test_the_page_is_what_the_models_say():
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == configuration_page.render(), (
        "run: python -m penstock.api.configuration > docs/configuration.md"
    )


def test_the_page_is_printed_by_the_module():
    said = subprocess.run(
        [sys.executable, "-m", "penstock.api.configuration"],
        cwd=ROOT / "operator",
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == configuration_page.render()


def test_the_example_of_the_page_can_be_used():
    read = load(configuration_page.EXAMPLE)
    assert set(read.connections) == {"prometheus", "team-metrics", "alertmanager"}
    assert set(read.of_kind("alertmanager")) == {"alertmanager"}
    assert read.alert_receiver.token_file == "/etc/penstock-alerts/token"


def test_the_configuration_in_the_manifests_can_be_used():
    manifest = yaml.safe_load((ROOT / "manifests" / "base" / "configuration.yaml").read_text())
    (text,) = manifest["data"].values()
    assert isinstance(load(text), Configuration)


def test_hosts_for_notifications_are_names_without_scheme_and_port():
    assert load(LEAST).notifications.allow == ()
    text = LEAST + "notifications: {allow: [127.0.0.1, broker.knative-eventing]}"
    assert load(text).notifications.allow == ("127.0.0.1", "broker.knative-eventing")
    with pytest.raises(ConfigurationError, match=r"notifications.allow"):
        load(LEAST + "notifications: {allow: ['http://broker']}")
