package main

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// spawnJoin starts goroutines and waits for a count of them, twice.
func spawnJoin(b *bench) {
	n := b.size(1_000_000)
	for _, name := range []string{"task_first", "task"} {
		var hits atomic.Int64
		c := measure(func() {
			var all sync.WaitGroup
			all.Add(n)
			for range n {
				go func() {
					hits.Add(1)
					all.Done()
				}()
			}
			all.Wait()
		})
		check(hits.Load() == int64(n))
		b.each(name, n, c)
	}
}

// spawnJoinHandle waits for each one's result before it starts the next.
func spawnJoinHandle(b *bench) {
	n := b.size(300_000)
	run := func(n int) {
		sum := uint64(0)
		for i := range uint64(n) {
			result := make(chan uint64, 1)
			go func() { result <- i }()
			sum += <-result
		}
		check(sum == sumBelow(n))
	}
	run(n / 10)
	b.each("pair", n, measure(func() { run(n) }))
}

// parkedMem has goroutines wait for one channel.
func parkedMem(b *bench) {
	run := func(n int) (before, parked memory, create, release cost) {
		runtime.GC()
		gate := make(chan struct{})
		var ready, left sync.WaitGroup
		ready.Add(n)
		left.Add(n)
		before = memoryNow()
		create = measure(func() {
			for range n {
				go func() {
					ready.Done()
					<-gate
					left.Done()
				}()
			}
			ready.Wait()
		})
		time.Sleep(200 * time.Millisecond)
		parked = memoryNow()
		release = measure(func() {
			close(gate)
			left.Wait()
		})
		return
	}
	n := b.size(100_000)
	run(100)
	before, parked, create, release := run(n)
	each := func(metric string, value float64, unit string) { b.figure(metric+"_per_task", value/float64(n), unit) }
	each("rss_bytes", parked.resident-before.resident, "B")
	each("pte_bytes", parked.pageTables-before.pageTables, "B")
	each("kstack_bytes", parked.kernelStacks-before.kernelStacks, "B")
	time.Sleep(2 * time.Second)
	after := memoryNow()
	each("bytes_after2s", after.resident-before.resident+after.pageTables-before.pageTables, "B")
	each("create_ns", ns(create.wall), "ns")
	each("release_ns", ns(release.wall), "ns")
}

// yields has so many goroutines yield so many times each.
func yields(b *bench, goroutines, own int) {
	n := b.size(own)
	run := func(n int) {
		var all sync.WaitGroup
		all.Add(goroutines)
		for range goroutines {
			go func() {
				for range n {
					runtime.Gosched()
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	run(n / 10)
	b.each("yield", goroutines*n, measure(func() { run(n) }))
}

// What the goroutines of yieldN do.
const (
	gather int32 = iota
	count
	leave
)

// yieldN measures a switch between many: they yield over and over from when all have been let go until they are told to
// leave, and what they yield between two readings of the clock is counted. Neither starting nor ending them is part of
// it. A thousand of them at most say that they have had their share, and two seconds are enough for all.
func yieldN(b *bench) {
	n := b.size(1000)
	share, stride := max(2_000_000/n, 2), (n+999)/1000
	gate := make(chan struct{})
	var ready, left sync.WaitGroup
	var stage atomic.Int32
	var begun, satisfied, counted atomic.Int64
	ready.Add(n)
	left.Add(n)
	for place := range n {
		go func() {
			ready.Done()
			<-gate
			begun.Add(1)
			own, inSample := 0, place%stride == 0
			for {
				switch stage.Load() {
				case count:
					own++
					if own == share && inSample {
						satisfied.Add(1)
					}
				case leave:
					counted.Add(int64(own))
					left.Done()
					return
				}
				runtime.Gosched()
			}
		}()
	}
	ready.Wait()
	close(gate)
	wait := func(some *atomic.Int64, all int) {
		for start := time.Now(); some.Load() < int64(all) && time.Since(start) < 2*time.Second; {
			time.Sleep(time.Millisecond)
		}
	}
	wait(&begun, n)
	c := measure(func() {
		stage.Store(count)
		wait(&satisfied, (n+stride-1)/stride)
		stage.Store(leave)
	})
	left.Wait()
	b.each("yield", int(counted.Load()), c)
}

// timers has each goroutine sleep once.
func timers(b *bench, own int) {
	n := b.size(own)
	run := func(n int) ([]time.Duration, cost) {
		naps := naps(n)
		late := make([]time.Duration, n)
		return late, measure(func() {
			var all sync.WaitGroup
			all.Add(n)
			for i := range n {
				go func() {
					start := time.Now()
					time.Sleep(naps[i])
					late[i] = time.Since(start) - naps[i]
					all.Done()
				}()
			}
			all.Wait()
		})
	}
	run(n / 100)
	late, c := run(n)
	quantile := sortedQuantiles(late)
	b.figure("wall_ms", ms(c.wall), "ms")
	b.figure("cpu_s", c.cpu.Seconds(), "s")
	b.figure("over_p50_us", ns(quantile(0.5))/1e3, "us")
	b.figure("over_p99_us", ns(quantile(0.99))/1e3, "us")
	b.figure("over_max_us", ns(quantile(1))/1e3, "us")
	early := 0
	for early < n && late[early] < 0 {
		early++
	}
	b.figure("early", float64(early), "count")
}

// sleeps has all goroutines sleep at the same time, each once.
func sleeps(b *bench) {
	const nap, times = 20 * time.Millisecond, 5
	n := b.size(10_000)
	run := func(n int) { all(n, func(int) { time.Sleep(nap) }) }
	run(n / 10)
	c := measure(func() {
		for range times {
			run(n)
		}
	})
	check(c.wall >= times*nap)
	b.millis("wall_ms", times, c)
}

// fib starts a goroutine for one of two, all the way down.
func fib(b *bench) {
	var of func(n int) int
	of = func(n int) int {
		if n < 2 {
			return n
		}
		one := make(chan int, 1)
		go func() { one <- of(n - 1) }()
		two := of(n - 2)
		return <-one + two
	}
	n := b.size(25)
	run := func() {
		result := make(chan int, 1)
		go func() { result <- of(n) }()
		check(<-result == fibonacci(n))
	}
	b.millis("ms_first", 1, measure(run))
	five := measure(func() {
		for range 5 {
			run()
		}
	})
	b.millis("ms", 5, five)
	b.figure("ns_per_spawn", ns(five.wall)/float64(5*(fibonacci(n+1)-1)), "ns")
}

// hog has two goroutines that compute, and one that sleeps a millisecond over and over.
func hog(b *bench) {
	length := time.Duration(b.size(2000)) * time.Millisecond
	var stop atomic.Bool
	var sink atomic.Uint64
	var all sync.WaitGroup
	warm := make(chan struct{})
	late := make([]time.Duration, 0, 4096)
	tick := func() time.Duration {
		start := time.Now()
		time.Sleep(time.Millisecond)
		return time.Since(start) - time.Millisecond
	}
	all.Add(3)
	go func() {
		for range 10 {
			tick()
		}
		close(warm)
		for !stop.Load() {
			late = append(late, tick())
		}
		all.Done()
	}()
	<-warm
	time.AfterFunc(length, func() { stop.Store(true) })
	start := time.Now()
	for x := range uint64(2) {
		go func() {
			for !stop.Load() {
				x = x*6_364_136_223_846_793_005 + 1_442_695_040_888_963_407
			}
			sink.Add(x)
			all.Done()
		}()
	}
	all.Wait()
	wall := time.Since(start)
	quantile := sortedQuantiles(late)
	b.figure("wall_ms", ms(wall), "ms")
	b.figure("ticks", float64(len(late)), "count")
	b.figure("late_p50_ms", ms(quantile(0.5)), "ms")
	b.figure("late_p99_ms", ms(quantile(0.99)), "ms")
	b.figure("late_max_ms", ms(quantile(1)), "ms")
}

// blocking has goroutines that block their threads.
func blocking(b *bench) {
	const nap = 20 * time.Millisecond
	n := b.size(64)
	run := func() {
		var all sync.WaitGroup
		all.Add(n)
		for range n {
			go func() {
				left := syscall.NsecToTimespec(int64(nap))
				for syscall.Nanosleep(&left, &left) == syscall.EINTR {
				}
				all.Done()
			}()
		}
		all.Wait()
	}
	for _, metric := range []string{"wall_ms_first", "wall_ms"} {
		c := measure(run)
		check(c.wall >= nap)
		b.millis(metric, 1, c)
	}
}

// descend goes so many frames of a little over 1 KiB deep, does atBottom there, and comes back. It returns how many of
// the frames still held what they did on the way down.
//
//go:noinline
func descend(frames int, atBottom func()) int {
	var frame [1024]byte
	for i := 0; i < len(frame); i += 64 {
		frame[i] = byte(frames)
	}
	whole := 0
	if frames > 1 {
		whole = descend(frames-1, atBottom)
	} else {
		atBottom()
	}
	for i := 0; i < len(frame); i += 64 {
		if frame[i] != byte(frames) {
			return whole
		}
	}
	return whole + 1
}

// deepstack has goroutines wait at the bottom of deep stacks.
func deepstack(b *bench) {
	const frames = 64
	n := b.size(1000)
	gate := make(chan struct{})
	var ready, left sync.WaitGroup
	ready.Add(n)
	left.Add(n)
	runtime.GC()
	before := memoryNow()
	create := measure(func() {
		for range n {
			go func() {
				check(descend(frames, func() {
					ready.Done()
					<-gate
				}) == frames)
				left.Done()
			}()
		}
		ready.Wait()
	})
	time.Sleep(100 * time.Millisecond)
	peak := memoryNow()
	release := measure(func() {
		close(gate)
		left.Wait()
	})
	time.Sleep(2 * time.Second)
	after := memoryNow()
	debug.FreeOSMemory()
	collected := memoryNow()
	kept := func(now memory) float64 { return (now.resident - before.resident) / float64(n) }
	b.figure("create_ms", ms(create.wall), "ms")
	b.figure("release_ms", ms(release.wall), "ms")
	b.figure("rss_peak_per_task", kept(peak), "B")
	b.figure("rss_after2s_per_task", kept(after), "B")
	b.figure("rss_after_forced_gc_per_task", kept(collected), "B")
}
