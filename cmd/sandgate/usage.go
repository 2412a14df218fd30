package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/sandbox"
)

// usageCommand is `sandgate usage`.
func (a *app) usageCommand() *cobra.Command {
	var past int32
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "usage",
		Short:   "Show what you use, and what you may",
		GroupID: groupUse,
		Args:    noArguments,
		Example: `  sandgate usage
  sandgate usage --past 24`,
	}
	cmd.Flags().Int32Var(&past, "past", 0, "also that many hours before this one, at most 744")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the reply as JSON")
	cmd.RunE = interruptible(func(ctx context.Context, _ []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		reply, err := c.usage.GetUsage(ctx, &sandgatev1.GetUsageRequest{PastHours: past})
		if err != nil {
			return inFlags(err)
		}
		if asJSON {
			return a.printJSON(reply)
		}
		return table(a.out, usageRows(reply))
	})
	return cmd
}

// usageRows shows a reply.
func usageRows(reply *sandgatev1.GetUsageResponse) [][]string {
	rows := [][]string{{"TENANT " + reply.GetTenant(), "USED", "LIMIT", ""}}
	resets := "until " + reply.GetResetsAt().AsTime().Local().Format("15:04")
	for _, q := range reply.GetQuotas() {
		when := "now"
		if q.GetHourly() {
			when = resets
		}
		rows = append(rows, []string{q.GetName(), amountText(q, q.GetUsed()), limitOf(q), when})
	}
	for _, token := range reply.GetTokens() {
		for _, q := range token.GetQuotas() {
			if q.GetLimit() > 0 {
				rows = append(rows, []string{q.GetName(), amountText(q, q.GetUsed()), limitOf(q), "token " + token.GetId()})
			}
		}
	}
	for _, hour := range reply.GetPast() {
		rows = append(rows, []string{
			hour.GetBeganAt().AsTime().Local().Format(time.DateTime), fmt.Sprintf("%d calls", hour.GetCalls()),
			fmt.Sprintf("%.1fs CPU", hour.GetCpu().AsDuration().Seconds()),
			fmt.Sprintf("%.0f GiB s, %s out", hour.GetMemoryGibSeconds(), roundSize(hour.GetOutputBytes())),
		})
	}
	return rows
}

func limitOf(q *sandgatev1.Quota) string {
	if q.GetLimit() == 0 {
		return "-"
	}
	return amountText(q, q.GetLimit())
}

// amountText shows bytes with a unit.
func amountText(q *sandgatev1.Quota, n int64) string {
	if strings.HasSuffix(q.GetName(), "_bytes") && n > 0 {
		return roundSize(n)
	}
	return strconv.FormatInt(n, 10)
}

// roundSize shows a size to people, in the largest unit that it has one of, to one digit behind the point.
func roundSize(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", sandbox.GiB}, {"MiB", sandbox.MiB}, {"KiB", sandbox.KiB}} {
		if bytes >= unit.bytes {
			number := strconv.FormatFloat(float64(bytes)/float64(unit.bytes), 'f', 1, 64)
			return strings.TrimSuffix(number, ".0") + unit.name
		}
	}
	return strconv.FormatInt(bytes, 10)
}
