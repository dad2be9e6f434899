package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A cpuSet has a bit for each CPU.
type cpuSet [16]uint64

// affinity asks the kernel about the calling thread by one of two calls, which must not fail.
func affinity(call uintptr, set *cpuSet) {
	_, _, errno := syscall.RawSyscall(call, 0, unsafe.Sizeof(*set), uintptr(unsafe.Pointer(set)))
	if errno != 0 {
		panic(errno)
	}
}

// allowedCPUs are those that the calling thread may use.
func allowedCPUs() (cpus []int) {
	var set cpuSet
	affinity(syscall.SYS_SCHED_GETAFFINITY, &set)
	for cpu := range 64 * len(set) {
		if set[cpu/64]>>(cpu%64)&1 == 1 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// confine binds the calling goroutine to a thread, and that to one CPU.
func confine(cpu int) {
	runtime.LockOSThread()
	var set cpuSet
	set[cpu/64] = 1 << (cpu % 64)
	affinity(syscall.SYS_SCHED_SETAFFINITY, &set)
}

// probe is about the machine: what it costs to hand a cache line from one CPU to another and back.
func probe(b *bench) {
	n := b.size(30_000)
	cpus := allowedCPUs()
	if len(cpus) < 2 {
		panic("a probe needs two CPUs")
	}
	runtime.GOMAXPROCS(max(b.procs, 2))
	var line struct {
		_      [128]byte
		number atomic.Uint64
		_      [128]byte
	}
	// Waits for the line to come with this number, and hands it on.
	handOn := func(number uint64) {
		for line.number.Load() != number {
		}
		line.number.Store(number + 1)
	}
	go func() {
		confine(cpus[1])
		for trip := range n {
			handOn(uint64(2*trip + 1))
		}
	}()
	confine(cpus[0])
	warmUp := n / 10
	for trip := range warmUp {
		handOn(uint64(2 * trip))
	}
	c := measure(func() {
		for trip := warmUp; trip < n; trip++ {
			handOn(uint64(2 * trip))
		}
	})
	b.figure("ns_per_handoff", ns(c.wall)/float64(2*(n-warmUp)), "ns")
}
