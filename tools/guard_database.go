package tools

import (
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stores are the words by which a database, an object store, a queue or an
// operator of one is known in the name of an image or of a workload.
var stores = regexp.MustCompile(`^(db|database|postgres|postgresql|postgis|pgvector|pgpool|pgbouncer|timescaledb|spilo|patroni|cnpg|pgo|` +
	`mysql|mysqld|mariadb|percona|vitess|mongo|mongodb|redis|valkey|keydb|dragonfly|memcached|cassandra|scylla|clickhouse|elasticsearch|` +
	`opensearch|solr|etcd|cockroach|cockroachdb|tidb|tikv|qdrant|milvus|weaviate|chroma|minio|ceph|rook|influxdb|victoriametrics|neo4j|` +
	`couchdb|arangodb|kafka|strimzi|zookeeper|pulsar|rabbitmq|nats|vault|consul)\d*$`)

// holdsData says what makes a pod template one of a database, an object store
// or a queue; "" if nothing does. These are never touched, and neither are
// their operators: what a restart does to them is for a person to know.
func holdsData(m metav1.Object, spec corev1.PodSpec) string {
	for _, key := range []string{"app.kubernetes.io/component", "app.kubernetes.io/name", "app"} {
		if w := storeWord(m.GetLabels()[key]); w != "" {
			return "its label " + key + " names " + w
		}
	}
	if w := storeWord(m.GetName()); w != "" {
		return "its name has the word " + w
	}
	for _, c := range spec.Containers {
		if w := storeWord(imageName(c.Image)); w != "" {
			return "it runs an image of " + w
		}
	}
	return ""
}

// imageName is the last part of an image without its tag and digest.
func imageName(image string) string {
	image, _, _ = strings.Cut(image, "@")
	name, _, _ := strings.Cut(path.Base(image), ":")
	return name
}

// storeWord finds one of stores among the words of a name. An exporter only
// measures, and may be touched.
func storeWord(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	if slices.Contains(words, "exporter") {
		return ""
	}
	for _, w := range words {
		if stores.MatchString(w) {
			return w
		}
	}
	return ""
}
