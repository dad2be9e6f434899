package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// figure prints one figure, to four digits.
func (b *bench) figure(metric string, value float64, unit string) {
	magnitude := 3.0
	if value != 0 {
		magnitude = math.Floor(math.Log10(math.Abs(value)))
	}
	digits := int(max(3-magnitude, 0))
	fmt.Printf("%s go %d %s %.*f %s\n", b.workload, b.procs, metric, digits, value, unit)
}

// each prints what one of count operations cost.
func (b *bench) each(operation string, count int, c cost) {
	b.figure("ns_per_"+operation, ns(c.wall)/float64(count), "ns")
	b.figure("cpu_ns_per_"+operation, ns(c.cpu)/float64(count), "ns")
}

// millis prints what one of so many runs cost.
func (b *bench) millis(metric string, runs float64, c cost) {
	b.figure(metric, ms(c.wall)/runs, "ms")
	b.figure("cpu_"+metric, ms(c.cpu)/runs, "ms")
}

// cost is what a piece of work took: by the wall clock, and user and system time of all threads.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(other cost) {
	c.wall += other.wall
	c.cpu += other.cpu
}

// measure does work and says what it cost.
func measure(work func()) cost {
	cpu := cpuTime()
	start := time.Now()
	work()
	wall := time.Since(start)
	return cost{wall, cpuTime() - cpu}
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func ns(d time.Duration) float64 { return float64(d) }

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// sortedQuantiles sorts the values and returns below which one a share of q of them lies.
func sortedQuantiles(values []time.Duration) func(q float64) time.Duration {
	slices.Sort(values)
	return func(q float64) time.Duration {
		if len(values) == 0 {
			return 0
		}
		return values[min(int(q*float64(len(values))), len(values)-1)]
	}
}

// memory is in bytes: resident, page tables, and the kernel stacks of the whole system.
type memory struct{ resident, pageTables, kernelStacks float64 }

func memoryNow() memory {
	return memory{
		procBytes("/proc/self/status", "VmRSS:"),
		procBytes("/proc/self/status", "VmPTE:"),
		procBytes("/proc/meminfo", "KernelStack:"),
	}
}

func procBytes(file, key string) float64 {
	f, err := os.Open(file)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				panic(err)
			}
			return kib * 1024
		}
	}
	panic("no " + key + " in " + file)
}

// naps are the sleeps of the timers workload: 1 to 100 ms, the same sequence for every peer.
func naps(n int) []time.Duration {
	seed := uint64(0x9E37_79B9_7F4A_7C15)
	naps := make([]time.Duration, n)
	for i := range naps {
		seed = xorshift(seed)
		naps[i] = time.Duration(1000+seed%99_001) * time.Microsecond
	}
	return naps
}

// job is one job of the cpu_map workload, some 50 us of steps that each need the one before.
//
//go:noinline
func job(number uint64) uint64 {
	x := number | 1
	for range 32_000 {
		x = xorshift(x)
	}
	return x
}

func xorshift(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

// sumBelow is the sum of all numbers below n.
func sumBelow(n int) uint64 { return uint64(n) * uint64(max(n-1, 0)) / 2 }

// fibonacci is the nth Fibonacci number.
func fibonacci(n int) int {
	a, b := 0, 1
	for range n {
		a, b = b, a+b
	}
	return a
}

// check ends the process if something was dropped or lost.
func check(ok bool) {
	if !ok {
		panic("wrong result")
	}
}
