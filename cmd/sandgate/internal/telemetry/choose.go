package telemetry

import (
	"fmt"
	"net/url"
	"strings"
)

// Env looks up an environment variable; false when it is not set.
type Env func(name string) (value string, set bool)

// protocol is how spans are sent.
type protocol string

const (
	off      protocol = ""
	overHTTP protocol = "http"
	overGRPC protocol = "grpc"
)

// The variables that are read here and not by the SDK alone. One for traces is stronger than one for
// everything.
const (
	envDisabled       = "OTEL_SDK_DISABLED"
	envExporter       = "OTEL_TRACES_EXPORTER"
	envEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	envTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// choose says how spans are sent, if they are: an exporter or an endpoint must be named.
func choose(env Env) (protocol, error) {
	if strings.EqualFold(get(env, envDisabled), "true") {
		return off, nil
	}
	endpoint := ""
	for _, name := range []string{envEndpoint, envTracesEndpoint} {
		if value := get(env, name); value != "" {
			endpoint = value
			if err := checkEndpoint(name, value); err != nil {
				return off, err
			}
		}
	}
	switch exporter := get(env, envExporter); exporter {
	case "none":
		return off, nil
	case "":
		if endpoint == "" {
			return off, nil
		}
	case "otlp":
	default:
		return off, fmt.Errorf("%s: %q is not known here; otlp and none are", envExporter, exporter)
	}
	name := envTracesProtocol
	if get(env, name) == "" {
		name = envProtocol
	}
	switch way := get(env, name); way {
	case "", "http/protobuf", "http/json":
		return overHTTP, nil
	case "grpc":
		return overGRPC, nil
	default:
		return off, fmt.Errorf("%s: %q is not known; http/protobuf, http/json and grpc are", name, way)
	}
}

// checkEndpoint refuses what the SDK would take for an endpoint without a host. The value may hold a
// password, so that it is not quoted.
func checkEndpoint(name, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s must be a URL such as http://127.0.0.1:4318", name)
	}
	return nil
}

func get(env Env, name string) string {
	value, _ := env(name)
	return strings.TrimSpace(value)
}
