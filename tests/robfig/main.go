// Command robfig answers what the native CronJob controller's cron library says, for the differential test of
// carillon.schedule. It reads one JSON query a line and writes one JSON answer a line.
//
// The time-zone data must be the one that the asking process uses: ZONEINFO names its directory, and without it the
// command refuses to answer, since a difference between two editions of the tz database would look like a mistake.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/robfig/cron/v3"
)

type query struct {
	Expression string  `json:"expression"`
	Zone       string  `json:"zone"`
	Seconds    bool    `json:"seconds"`    // six fields, which the native controller does not take
	Instants   []int64 `json:"instants"`   // unix seconds
	Nanosecond int64   `json:"nanosecond"` // added to each instant
	Length     int     `json:"length"`     // how many due times to follow from each instant; 1 when absent
	Patience   float64 `json:"patience"`   // seconds that the query may take; it needs microseconds
}

type answer struct {
	Error string     `json:"error,omitempty"`
	Stuck bool       `json:"stuck,omitempty"` // robfig walks in circles; the command has ended
	Due   [][]*int64 `json:"due,omitempty"`   // a chain for each instant; null ends a chain
}

var sixFields = cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

func parse(q query) (schedule cron.Schedule, err error) {
	// The native controller guards its parser in the same way, and also hands the zone over as a prefix.
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	text := fmt.Sprintf("TZ=%s %s", q.Zone, q.Expression)
	if q.Seconds {
		return sixFields.Parse(text)
	}
	return cron.ParseStandard(text)
}

func respond(q query) answer {
	schedule, err := parse(q)
	if err != nil {
		return answer{Error: err.Error()}
	}
	result := answer{Due: make([][]*int64, 0, len(q.Instants))}
	for _, instant := range q.Instants {
		moment := time.Unix(instant, q.Nanosecond).UTC()
		chain := make([]*int64, 0, max(1, q.Length))
		for len(chain) < max(1, q.Length) {
			moment = schedule.Next(moment)
			if moment.IsZero() {
				chain = append(chain, nil)
				break
			}
			due := moment.Unix()
			chain = append(chain, &due)
		}
		result.Due = append(result.Due, chain)
	}
	return result
}

func run() error {
	if os.Getenv("ZONEINFO") == "" {
		return errors.New("ZONEINFO is not set; set it to the directory of the time-zone data of the asking process")
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var q query
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return fmt.Errorf("query %q: %w", lines.Text(), err)
		}
		watch := time.AfterFunc(time.Duration(q.Patience*float64(time.Second)), func() {
			fmt.Println(`{"stuck":true}`)
			os.Exit(3)
		})
		result := respond(q)
		watch.Stop()
		if err := encoder.Encode(result); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return lines.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "robfig:", err)
		os.Exit(2)
	}
}
