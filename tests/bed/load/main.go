// Load sends requests on a fixed schedule that does not wait for answers (open loop) and writes
// one JSON line per request. Standard input takes commands ("rate 50"); its end ends the load.
//
// Latency counts from the moment at which the request was due, so a queue here would show.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	inFlightLimit = 2000
	idle          = 10 * time.Millisecond
)

type result struct {
	Sent    float64 `json:"t"`
	MS      float64 `json:"ms"`
	Status  int     `json:"s"`
	Version string  `json:"v,omitempty"`
	Pod     string  `json:"p,omitempty"`
	User    string  `json:"u,omitempty"`
	Backend int     `json:"b,omitempty"`
	Error   string  `json:"e,omitempty"`
}

type load struct {
	url, host, header string
	users             int
	jars              *jars
	client            *http.Client
	slots             chan struct{}
	results           chan result
	flying            sync.WaitGroup
}

func main() {
	url := flag.String("url", "", "where to send")
	host := flag.String("host", "", "Host header")
	rate := flag.Float64("rate", 10, "requests per second; 0 pauses")
	duration := flag.Duration("duration", time.Minute, "end after this time")
	limit := flag.Int("limit", 100000, "end after this number of requests")
	users := flag.Int("users", 0, "number of users to take in turn; 0: no user header")
	header := flag.String("header", "x-user-id", "header that carries the user")
	timeout := flag.Duration("timeout", 15*time.Second, "give up on an answer after this time")
	cookies := flag.Bool("cookies", false, "each user sends the cookies that it was given")
	out := flag.String("out", "", "file for the results")
	flag.Parse()

	file, err := os.Create(*out)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	l := &load{
		url: *url, host: *host, header: *header, users: *users,
		client:  &http.Client{Timeout: *timeout, Transport: transport()},
		slots:   make(chan struct{}, inFlightLimit),
		results: make(chan result, inFlightLimit),
	}
	if *cookies {
		l.jars = &jars{kept: map[string]map[string]string{}}
	}
	written := make(chan struct{})
	go l.write(file, written)
	rates, ended := commands(os.Stdin)
	l.run(*rate, *limit, time.After(*duration), rates, ended)
	l.flying.Wait()
	close(l.results)
	<-written
}

func transport() *http.Transport {
	return &http.Transport{
		MaxIdleConns: inFlightLimit, MaxIdleConnsPerHost: inFlightLimit, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
	}
}

func commands(input io.Reader) (<-chan float64, <-chan struct{}) {
	rates, ended := make(chan float64), make(chan struct{})
	go func() {
		defer close(ended)
		scanner := bufio.NewScanner(input)
		for scanner.Scan() {
			var rate float64
			if _, err := fmt.Sscanf(strings.TrimSpace(scanner.Text()), "rate %g", &rate); err == nil {
				rates <- rate
			}
		}
	}()
	return rates, ended
}

// run sends request k of a rate at (start of that rate) + k / rate.
func (l *load) run(rate float64, limit int, over <-chan time.Time, rates <-chan float64, ended <-chan struct{}) {
	base, since, sent := time.Now(), 0, 0
	timer := time.NewTimer(0)
	for sent < limit {
		due := time.Now().Add(idle)
		if rate > 0 {
			due = base.Add(time.Duration(float64(since) / rate * float64(time.Second)))
		}
		timer.Reset(time.Until(due))
		select {
		case <-over:
			return
		case <-ended:
			return
		case rate = <-rates:
			base, since = time.Now(), 0
		case <-timer.C:
			if rate > 0 {
				l.send(due, sent)
				since, sent = since+1, sent+1
			}
		}
	}
}

func (l *load) send(due time.Time, number int) {
	r := result{Sent: float64(due.UnixMicro()) / 1e6}
	if l.users > 0 {
		r.User = fmt.Sprintf("user-%d", number%l.users)
	}
	select {
	case l.slots <- struct{}{}:
	default:
		r.Error = "too many requests in flight"
		l.results <- r
		return
	}
	l.flying.Add(1)
	go func() {
		defer l.flying.Done()
		l.ask(&r)
		r.MS = math.Round(float64(time.Since(due).Microseconds())/10) / 100
		<-l.slots
		l.results <- r
	}()
}

func (l *load) ask(r *result) {
	request, err := http.NewRequest(http.MethodGet, l.url, nil)
	if err != nil {
		r.Error = err.Error()
		return
	}
	request.Host = l.host
	if r.User != "" {
		request.Header.Set(l.header, r.User)
	}
	l.jars.open(r.User, request)
	response, err := l.client.Do(request)
	if err != nil {
		r.Error = err.Error()
		return
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	l.jars.fill(r.User, response)
	r.Status = response.StatusCode
	r.Version = response.Header.Get("x-version")
	r.Pod = response.Header.Get("x-pod")
	if response.Header.Get("x-backend-error") != "" {
		r.Backend = 1
	}
}

// jars has the cookies of each user, by name; a nil one keeps none.
type jars struct {
	mutex sync.Mutex
	kept  map[string]map[string]string
}

func (j *jars) open(user string, request *http.Request) {
	if j == nil {
		return
	}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for name, value := range j.kept[user] {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
}

func (j *jars) fill(user string, response *http.Response) {
	if j == nil {
		return
	}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	for _, cookie := range response.Cookies() {
		if j.kept[user] == nil {
			j.kept[user] = map[string]string{}
		}
		past := !cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())
		if cookie.MaxAge < 0 || (cookie.MaxAge == 0 && past) {
			delete(j.kept[user], cookie.Name)
		} else {
			j.kept[user][cookie.Name] = cookie.Value
		}
	}
}

func (l *load) write(file *os.File, written chan<- struct{}) {
	defer close(written)
	buffer := bufio.NewWriter(file)
	lines := json.NewEncoder(buffer)
	flush := time.NewTicker(50 * time.Millisecond)
	for {
		select {
		case r, open := <-l.results:
			if !open {
				buffer.Flush()
				file.Close()
				return
			}
			lines.Encode(r)
		case <-flush.C:
			buffer.Flush()
		}
	}
}
