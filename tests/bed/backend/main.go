// Backend is the service that the bed runs for each Pod: it answers with its version and name,
// fails and dawdles as it is told while it runs, and counts what it did.
//
// It prints one JSON line with its ports as soon as it listens.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Behaviour is what the admin endpoint sets: shares lie in 0..1, times are milliseconds.
// JitterMS is the mean of an exponential share of the latency. Classes are the shares of what a
// model predicts; Value is the mean of what an answer is worth (exponential). Shards is the number
// of series that the counter of requests is spread over. Disagree is the share of requests on which
// the answer is not the one that another version gave, for a backend that compares them.
type Behaviour struct {
	Errors   float64 `json:"errors"`
	Status   int     `json:"status"`
	DelayMS  float64 `json:"delay_ms"`
	JitterMS float64 `json:"jitter_ms"`
	Slow     float64 `json:"slow"`
	SlowMS   float64 `json:"slow_ms"`

	Classes map[string]float64 `json:"classes"`
	Value   float64            `json:"value"`

	Shards int `json:"shards"`

	Disagree float64 `json:"disagree"`
}

// counted is one series of the counter of requests; shard is -1 without shards.
type counted struct{ code, shard int }

type backend struct {
	version, pod string
	started      time.Time
	behaviour    atomic.Pointer[Behaviour]
	mutex        sync.Mutex
	answered     map[counted]int
	predicted    map[string]int
	value        struct{ count, sum, squares float64 }
	agreed       map[bool]int
}

func main() {
	address := flag.String("address", "127.0.0.1", "loopback address to listen on")
	version := flag.String("version", "v1", "version to answer with")
	port := flag.Int("port", 0, "port of the service; 0: a free one")
	pod := flag.String("pod", "pod", "Pod name to answer with")
	cert := flag.String("cert", "", "certificate file; with it TLS is served too")
	key := flag.String("key", "", "file of the certificate's key")
	behaviour := flag.String("behaviour", "{}", "behaviour at the start, JSON")
	flag.Parse()

	b := &backend{version: *version, pod: *pod, started: time.Now(), answered: map[counted]int{}, predicted: map[string]int{}, agreed: map[bool]int{}}
	if err := b.set([]byte(*behaviour)); err != nil {
		fail(err)
	}
	service, servicePort := serve(*address, *port, b.service())
	admin, adminPort := serve(*address, 0, b.admin())
	ports := map[string]int{"http": servicePort, "admin": adminPort}
	if *cert != "" {
		ports["tls"] = serveTLS(*address, *cert, *key, b.service())
	}
	json.NewEncoder(os.Stdout).Encode(ports)

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	patience, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	service.Shutdown(patience)
	admin.Close()
}

func serve(address string, port int, handler http.Handler) (*http.Server, int) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
	if err != nil {
		fail(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(listener)
	return server, listener.Addr().(*net.TCPAddr).Port
}

func serveTLS(address, cert, key string, handler http.Handler) int {
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		fail(err)
	}
	go (&http.Server{Handler: handler}).ServeTLS(listener, cert, key)
	return listener.Addr().(*net.TCPAddr).Port
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (b *backend) set(body []byte) error {
	next := Behaviour{Status: http.StatusInternalServerError}
	if err := json.Unmarshal(body, &next); err != nil {
		return err
	}
	b.behaviour.Store(&next)
	return nil
}

func (b *backend) service() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", b.metrics)
	mux.HandleFunc("/", b.answer)
	return mux
}

func (b *backend) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_behave", func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 4096)
		n, _ := r.Body.Read(body)
		if err := b.set(body[:n]); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}

func (b *backend) answer(w http.ResponseWriter, r *http.Request) {
	behaviour := b.behaviour.Load()
	wait := behaviour.DelayMS + rand.ExpFloat64()*behaviour.JitterMS
	if rand.Float64() < behaviour.Slow {
		wait += behaviour.SlowMS
	}
	if wait > 0 {
		time.Sleep(time.Duration(wait * float64(time.Millisecond)))
	}
	status := http.StatusOK
	w.Header().Set("x-version", b.version)
	w.Header().Set("x-pod", b.pod)
	w.Header().Set("x-method", r.Method)
	w.Header().Set("x-path", r.URL.RequestURI())
	if rand.Float64() < behaviour.Errors {
		status = behaviour.Status
		w.Header().Set("x-backend-error", "1")
	}
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s %s\n", b.version, b.pod)
	b.count(status, behaviour)
}

func (b *backend) count(status int, behaviour *Behaviour) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	shard := -1
	if behaviour.Shards > 0 {
		shard = rand.Intn(behaviour.Shards)
	}
	b.answered[counted{status, shard}]++
	if class := drawn(behaviour.Classes); class != "" {
		b.predicted[class]++
	}
	if behaviour.Disagree > 0 {
		b.agreed[rand.Float64() >= behaviour.Disagree]++
	}
	if behaviour.Value > 0 {
		value := rand.ExpFloat64() * behaviour.Value
		b.value.count++
		b.value.sum += value
		b.value.squares += value * value
	}
}

func drawn(classes map[string]float64) string {
	part := rand.Float64()
	for _, class := range sorted(classes) {
		if part -= classes[class]; part < 0 {
			return class
		}
	}
	return ""
}

func sorted[V any](of map[string]V) []string {
	keys := make([]string, 0, len(of))
	for key := range of {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func (b *backend) requests(w http.ResponseWriter) {
	for shard := range b.behaviour.Load().Shards {
		b.answered[counted{http.StatusOK, shard}] += 0
	}
	series := make([]counted, 0, len(b.answered))
	for one := range b.answered {
		series = append(series, one)
	}
	sort.Slice(series, func(i, j int) bool {
		a, b := series[i], series[j]
		return a.code < b.code || (a.code == b.code && a.shard < b.shard)
	})
	for _, one := range series {
		shard := ""
		if one.shard >= 0 {
			shard = fmt.Sprintf(",shard=\"%d\"", one.shard)
		}
		fmt.Fprintf(w, "app_requests_total{version=%q,code=\"%d\"%s} %d\n", b.version, one.code, shard, b.answered[one])
	}
}

func (b *backend) metrics(w http.ResponseWriter, r *http.Request) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	w.Header().Set("content-type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "# TYPE process_start_time_seconds gauge")
	fmt.Fprintf(w, "process_start_time_seconds %.3f\n", float64(b.started.UnixMilli())/1000)
	fmt.Fprintln(w, "# TYPE app_requests_total counter")
	b.requests(w)
	fmt.Fprintln(w, "# TYPE predictions_total counter")
	for _, class := range sorted(b.predicted) {
		fmt.Fprintf(w, "predictions_total{version=%q,class=%q} %d\n", b.version, class, b.predicted[class])
	}
	for _, agrees := range []bool{true, false} {
		if b.agreed[agrees] > 0 {
			fmt.Fprintf(w, "shadow_answers_total{version=%q,agrees=\"%t\"} %d\n", b.version, agrees, b.agreed[agrees])
		}
	}
	if b.value.count > 0 {
		fmt.Fprintf(w, "app_value_count{version=%q} %g\n", b.version, b.value.count)
		fmt.Fprintf(w, "app_value_sum{version=%q} %g\n", b.version, b.value.sum)
		fmt.Fprintf(w, "app_value_squares{version=%q} %g\n", b.version, b.value.squares)
	}
}
