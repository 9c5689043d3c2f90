// SPDX-License-Identifier: Apache-2.0

// The Go peer of scripts/bench-peers: the published Go SDK, in the cases of docs/benchmarks.md.
//
//	peer [--json|--driven] [--quick] [--case PREFIX]
//	peer --locked KEYS
//
// What --json, --driven and --locked print is told in bench/bench.h; this program has no floors. The cases
// keycache/* are the package's own benchmarks, which scripts/bench-peers runs as they are.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	rounds      = 7
	quickRounds = 5
)

// work does so many operations as the thread of that number.
type work func(thread int, operations uint64) error

type benchCase struct {
	name       string
	level      string
	threads    int
	work       work
	operations uint64
	samples    []float64
}

type options struct {
	driven, quick bool
	prefix        string
	locked        int
	sample        time.Duration
}

// bench collects the cases that are asked for.
type bench struct {
	prefix string
	cases  []*benchCase
}

func (b *bench) wants(name string) bool { return strings.HasPrefix(name, b.prefix) }

func (b *bench) add(name, level string, threads []int, w work) {
	for _, n := range threads {
		if b.wants(name) {
			b.cases = append(b.cases, &benchCase{name: name, level: level, threads: n, work: w})
		}
	}
}

// span is when a thread began and ended.
type span struct {
	began, ended time.Time
	err          error
}

// runThread is a goroutine of the case; how many of the system's threads they run on is Go's choice.
func (c *benchCase) runThread(thread int, start *sync.WaitGroup) span {
	start.Done()
	start.Wait()
	began := time.Now()
	err := c.work(thread, c.operations)
	return span{began, time.Now(), err}
}

// takeSample gives the time from the first start to the last end.
func (c *benchCase) takeSample() (time.Duration, error) {
	if c.threads == 1 {
		began := time.Now()
		err := c.work(0, c.operations)
		return time.Since(began), err
	}
	spans := make([]span, c.threads)
	var start, done sync.WaitGroup
	start.Add(c.threads)
	for i := range spans {
		done.Add(1)
		go func() {
			defer done.Done()
			spans[i] = c.runThread(i, &start)
		}()
	}
	done.Wait()
	began, ended := spans[0].began, spans[0].ended
	var err error
	for _, s := range spans {
		if s.began.Before(began) {
			began = s.began
		}
		if s.ended.After(ended) {
			ended = s.ended
		}
		err = errors.Join(err, s.err)
	}
	return ended.Sub(began), err
}

// calibrate warms up, and finds how many operations fill a sample.
func (c *benchCase) calibrate(sample time.Duration) error {
	for c.operations = 1; ; c.operations *= 2 {
		elapsed, err := c.takeSample()
		if err != nil {
			return err
		}
		if elapsed >= sample/4 {
			c.operations = max(1, uint64(float64(c.operations)*float64(sample)/float64(elapsed)))
			return nil
		}
	}
}

func (c *benchCase) sampleNs(sample time.Duration) (float64, error) {
	if c.operations == 0 {
		if err := c.calibrate(sample); err != nil {
			return 0, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	elapsed, err := c.takeSample()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	return float64(elapsed.Nanoseconds()) / float64(c.operations*uint64(c.threads)), nil
}

func (c *benchCase) print() {
	sort.Float64s(c.samples)
	n := len(c.samples)
	fmt.Printf("{\"case\": %q, \"impl\": \"go\", \"level\": %q, \"engine\": \"go\", \"threads\": %d, "+
		"\"ns_per_op\": %.2f, \"min\": %.2f, \"max\": %.2f, \"floor_ns\": null, \"ratio_floor\": null}\n",
		c.name, c.level, c.threads, c.samples[n/2], c.samples[0], c.samples[n-1])
}

func runRounds(cases []*benchCase, opts *options) error {
	n := rounds
	if opts.quick {
		n = quickRounds
	}
	for range n {
		for _, c := range cases {
			ns, err := c.sampleNs(opts.sample)
			if err != nil {
				return err
			}
			c.samples = append(c.samples, ns)
		}
	}
	for _, c := range cases {
		c.print()
	}
	return nil
}

// runDriven tells what cases there are, then takes a sample of each that is asked for by number.
func runDriven(cases []*benchCase, opts *options) error {
	for _, c := range cases {
		fmt.Printf("{\"case\": %q, \"impl\": \"go\", \"level\": %q, \"engine\": \"go\", \"threads\": %d, \"floors\": []}\n",
			c.name, c.level, c.threads)
	}
	fmt.Println()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		number, err := strconv.Atoi(lines.Text())
		if err != nil || number < 0 || number >= len(cases) {
			return fmt.Errorf("there is no case %q", lines.Text())
		}
		runtime.GC() // garbage of the samples before is not this one's
		ns, err := cases[number].sampleNs(opts.sample)
		if err != nil {
			return err
		}
		fmt.Printf("%.3f\n", ns)
	}
	return lines.Err()
}

// printLocked tells how much memory the process has locked.
func printLocked(keys int) error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "VmLck:" {
			fmt.Printf("{\"case\": \"memory/locked\", \"impl\": \"go\", \"level\": \"memguard\", \"keys\": %d, \"locked_kib\": %s}\n",
				keys, words[1])
			return nil
		}
	}
	return errors.New("no VmLck in /proc/self/status")
}

func readOptions() *options {
	opts := &options{sample: 50 * time.Millisecond}
	flag.Bool("json", true, "a line of JSON a case (there is no other form)")
	flag.BoolVar(&opts.driven, "driven", false, "take samples when told, by standard input")
	flag.BoolVar(&opts.quick, "quick", false, "short samples")
	flag.StringVar(&opts.prefix, "case", "", "only cases whose names start so")
	flag.IntVar(&opts.locked, "locked", 0, "make so many keys warm, and tell what is locked")
	flag.Parse()
	if opts.quick {
		opts.sample = 5 * time.Millisecond
	}
	return opts
}

func run(opts *options) error {
	if opts.locked > 0 {
		return runLocked(opts.locked)
	}
	b := &bench{prefix: opts.prefix}
	if err := errors.Join(addSecrets(b), addSessions(b), addGrowth(b)); err != nil {
		return err
	}
	if len(b.cases) == 0 && !opts.driven {
		return fmt.Errorf("no case starts with %q", opts.prefix)
	}
	if opts.driven {
		return runDriven(b.cases, opts)
	}
	return runRounds(b.cases, opts)
}

func main() {
	if err := run(readOptions()); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}
