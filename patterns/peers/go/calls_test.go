// What one call costs with the packages that Go programs use for what pirn's patterns do, by one goroutine that nobody
// disturbs: `cd patterns/peers/go && go mod tidy && go test -bench . -cpu 1`. The rows are those of `benches/calls.rs` and
// `work.rs`.
package peers

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

func BenchmarkRateTokenBucket(b *testing.B) {
	limit := rate.NewLimiter(1e9, 1_000_000_000)
	for b.Loop() {
		if !limit.Allow() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkRateRefused(b *testing.B) {
	limit := rate.NewLimiter(rate.Every(time.Hour), 1)
	limit.Allow()
	for b.Loop() {
		limit.Allow()
	}
}

// What programs do for a limit for each user: there is no package for it.
func BenchmarkRateKeyed(b *testing.B) {
	var limits sync.Map
	limits.Store(7, rate.NewLimiter(1e9, 1_000_000_000))
	for b.Loop() {
		limit, _ := limits.Load(7)
		if !limit.(*rate.Limiter).Allow() {
			b.Fatal("refused")
		}
	}
}

func BenchmarkBreakerConsecutive(b *testing.B) {
	breaker := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{})
	for b.Loop() {
		breaker.Execute(func() (int, error) { return 7, nil })
	}
}

func BenchmarkBreakerOpen(b *testing.B) {
	breaker := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{Timeout: time.Hour})
	failed := errors.New("failed")
	for range 10 {
		breaker.Execute(func() (int, error) { return 0, failed })
	}
	if breaker.State() != gobreaker.StateOpen {
		b.Fatal("it is not open")
	}
	for b.Loop() {
		breaker.Execute(func() (int, error) { return 7, nil })
	}
}

func BenchmarkFlightOfOneCaller(b *testing.B) {
	var flights singleflight.Group
	for b.Loop() {
		flights.Do("7", func() (any, error) { return 7, nil })
	}
}
