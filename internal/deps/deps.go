//go:build tools

package deps

import (
	_ "github.com/cenkalti/backoff/v5"
	_ "github.com/fatih/color"
	_ "github.com/gofrs/flock"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/jsonschema-go/jsonschema"
	_ "github.com/mark3labs/mcp-go/server"
	_ "github.com/mark3labs/mcp-go/mcptest"
	_ "github.com/mark3labs/mcp-go/client"
	_ "github.com/mattn/go-sqlite3"
	_ "github.com/pressly/goose/v3"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/slack-go/slack/socketmode"
	_ "github.com/spf13/cobra"
	_ "gitlab.com/gitlab-org/api/client-go/v2"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/time/rate"
	_ "go.yaml.in/yaml/v3"
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/kubernetes"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "k8s.io/client-go/discovery/cached/memory"
	_ "k8s.io/client-go/restmapper"
)
