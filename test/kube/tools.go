//go:build tools

// Package kube pins the programs of the cluster that our tests run on: go.mod
// and go.sum beside this file say which, and the script run builds them.
//
// It is a module of its own because Kubernetes as a library needs replace
// directives for its staging modules, which Watchkeeper itself must not carry.
package kube

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
