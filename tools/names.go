package tools

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// objectName allows what DNS-1123 does, and the colons of RBAC objects.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.:-]{0,251}[a-z0-9])?$`)

// checkNames refuses what is not a name before it gets near a path: "../x",
// "--server=…", a URL. Empty ones are not given, and pass.
func checkNames(namespace string, names ...string) error {
	var errs []error
	if namespace != "" && len(validation.IsDNS1123Label(namespace)) > 0 {
		errs = append(errs, fmt.Errorf("%q is not a namespace: lower-case letters, digits and dashes, at most 63", oneLine(namespace, 80)))
	}
	for _, n := range names {
		if n != "" && (!objectName.MatchString(n) || doubleDot.MatchString(n)) {
			errs = append(errs, fmt.Errorf("%q is not a name in Kubernetes: lower-case letters, digits, dashes and dots", oneLine(n, 80)))
		}
	}
	return errors.Join(errs...)
}

// withoutKind drops the kind of "deployment/cart".
func withoutKind(s string) string { return kindPrefix.ReplaceAllString(s, "") }

var kindPrefix = regexp.MustCompile(`^[A-Za-z]+/`)

var doubleDot = regexp.MustCompile(`\.\.`)

// checkSelector parses a label selector.
func checkSelector(s string) error {
	if _, err := labels.Parse(s); err != nil {
		return fmt.Errorf("selector %q cannot be read (%w); write it like app=cart,tier!=cache", oneLine(s, 120), err)
	}
	return nil
}

// window reads how far to look back ("15m", "2h", "3d"); "" gives otherwise.
func window(s string, otherwise time.Duration) (time.Duration, error) {
	if s == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(s)
	if n := len(s) - 1; err != nil && s[n] == 'd' {
		if d, err = time.ParseDuration(s[:n] + "h"); err == nil {
			d *= 24
		}
	}
	if err != nil || d <= 0 || d > 30*24*time.Hour {
		return 0, fmt.Errorf("%q is not a span of time; write it like 15m, 2h or 3d, at most 30d", oneLine(s, 40))
	}
	return d, nil
}
