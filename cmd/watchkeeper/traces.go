package main

import (
	"context"
	"maps"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/config"
	"watchkeeper/state"
	"watchkeeper/trace/otlp"
)

// exportTraces hands traces to the receiver that is configured, while this
// process holds the lock.
func exportTraces(ctx context.Context, h *house.House) error {
	endpoint := h.Config.Telemetry.OTLPEndpoint
	if endpoint == "" {
		return nil
	}
	return h.Dir.Host(ctx, state.Traces, h.Log, func(ctx context.Context) error {
		e := &otlp.Exporter{
			Memory: h.Store, Endpoint: endpoint + "/v1/traces", Headers: h.Config.Secrets.OTLPHeaders,
			Version: house.Version, Log: h.Log,
		}
		return e.Run(ctx)
	})
}

// traced tells a server of the session that steps are recorded. It learns the
// receiver's address, which it does not use, and not the secret.
func traced(h *house.House, env map[string]string) map[string]string {
	if h.Config.Telemetry.OTLPEndpoint == "" {
		return env
	}
	out := map[string]string{config.OTLPVariable: h.Config.Telemetry.OTLPEndpoint}
	maps.Copy(out, env)
	return out
}
