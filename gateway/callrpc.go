package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/identity"
	"github.com/sandgate/sandgate/gateway/journal"
	"github.com/sandgate/sandgate/gateway/store"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// RegisterCalls adds CallService to a registry, and has its tools take calls that carry a call_id.
func RegisterCalls(r *Registry, kept *journal.Journal) {
	r.tools.journal = kept
	s := &calls{journal: kept}
	Unary(r, sandgatev1connect.CallServiceGetCallProcedure, s.get)
	Unary(r, sandgatev1connect.CallServiceListCallsProcedure, s.list)
	Unary(r, sandgatev1connect.CallServiceCancelCallProcedure, s.cancel)
	Stream(r, sandgatev1connect.CallServiceAttachCallProcedure, s.attach)
}

// calls serve CallService.
type calls struct {
	journal *journal.Journal
	guesses guesses // of ids of calls
}

// find returns a call that somebody may see. A session that is not theirs hides its calls.
func (s *calls) find(ctx context.Context, id string) (store.Call, error) {
	caller := principalOf(ctx)
	if err := s.guesses.check(caller.ID); err != nil {
		return store.Call{}, err
	}
	row, err := s.journal.Get(ctx, caller.Tenant, id)
	if err == nil && !visible(caller, row) {
		err = journal.ErrUnknown
	}
	if errors.Is(err, journal.ErrUnknown) {
		s.guesses.miss(caller.ID)
	}
	if err != nil {
		return store.Call{}, journalError(err)
	}
	callFrom(ctx).noteSession(row.SessionID)
	return row, nil
}

// visible tells whether somebody may see a call of their tenant: one for certain tools or a certain
// session sees no more of the past than it may do now.
func visible(caller *identity.Principal, row store.Call) bool {
	return caller.Sees(row.SessionID) && caller.MayCall(row.Tool)
}

func (s *calls) get(ctx context.Context, req *sandgatev1.GetCallRequest) (*sandgatev1.GetCallResponse, error) {
	if err := callFrom(ctx).payer().checkOutput(); err != nil { // results are replies, too
		return nil, err
	}
	row, err := s.find(ctx, req.GetId())
	if err != nil {
		return nil, err
	}
	res := &sandgatev1.GetCallResponse{Call: callOf(row)}
	if len(row.Result) > 0 {
		outcome, err := journal.OutcomeOf(row)
		if err != nil {
			return nil, err
		}
		res.Result = outcome.Result
	}
	return res, nil
}

func (s *calls) list(ctx context.Context, req *sandgatev1.ListCallsRequest) (*sandgatev1.ListCallsResponse, error) {
	caller := principalOf(ctx)
	filter := store.CallFilter{Tenant: caller.Tenant, SessionID: req.GetSessionId(), Running: req.GetRunning(), Limit: int(req.GetPageSize())}
	if filter.Limit == 0 {
		filter.Limit = defaultPage
	}
	if caller.Session != "" {
		if filter.SessionID != "" && filter.SessionID != caller.Session {
			return &sandgatev1.ListCallsResponse{}, nil
		}
		filter.SessionID = caller.Session
	}
	var ok bool
	if filter.Before, filter.BeforeID, ok = parseCallPlace(req.GetPageToken()); !ok {
		return nil, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
			"Pass the next_page_token of the page before, or none.", "page_token is not one that this gateway gave")
	}
	rows, err := s.journal.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	res := &sandgatev1.ListCallsResponse{}
	for _, row := range rows {
		if visible(caller, row) {
			res.Calls = append(res.Calls, callOf(row))
		}
	}
	if len(rows) == filter.Limit {
		res.NextPageToken = callPlace(rows[len(rows)-1])
	}
	return res, nil
}

// callPlace and parseCallPlace write where a call stands in the list as a page token, and read it
// back. An empty one is the place of the newest.
func callPlace(row store.Call) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(row.CreatedAt.UnixMilli(), 36) + ":" + row.ID))
}

func parseCallPlace(token string) (at time.Time, id string, ok bool) {
	if token == "" {
		return time.Time{}, "", true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	millis, id, found := strings.Cut(string(raw), ":")
	n, parseErr := strconv.ParseInt(millis, 36, 64)
	return time.UnixMilli(n), id, err == nil && parseErr == nil && found && n > 0
}

func (s *calls) attach(ctx context.Context, req *sandgatev1.AttachCallRequest, send func(*sandgatev1.AttachCallResponse) error) error {
	if err := callFrom(ctx).payer().checkOutput(); err != nil { // results are replies, too
		return err
	}
	if _, err := s.find(ctx, req.GetId()); err != nil {
		return err
	}
	live, err := s.journal.Attach(ctx, principalOf(ctx).Tenant, req.GetId())
	if err != nil {
		return journalError(err)
	}
	last := req.GetAfter()
	outcome, err := live.Follow(ctx, req.GetAfter(), func(sequence int64, progress *structpb.Struct) error {
		last = sequence
		return send(&sandgatev1.AttachCallResponse{Event: &sandgatev1.AttachCallResponse_Progress{Progress: progress}, Sequence: sequence})
	})
	res, err := settled(outcome, err)
	if err != nil {
		return err
	}
	return send(&sandgatev1.AttachCallResponse{Event: &sandgatev1.AttachCallResponse_Result{Result: res}, Sequence: last + 1})
}

func (s *calls) cancel(ctx context.Context, req *sandgatev1.CancelCallRequest) (*sandgatev1.CancelCallResponse, error) {
	if _, err := s.find(ctx, req.GetId()); err != nil {
		return nil, err
	}
	return &sandgatev1.CancelCallResponse{Cancelled: s.journal.Cancel(principalOf(ctx).Tenant, req.GetId())}, nil
}

// callOf returns a call as the API shows it.
func callOf(row store.Call) *sandgatev1.Call {
	out := &sandgatev1.Call{
		Id: row.ID, CallId: row.CallID, SessionId: row.SessionID, Tool: row.Tool, State: sandgatev1.CallState(row.State),
		Status: sandgatev1.Status(row.Status), CreatedAt: timestamppb.New(row.CreatedAt),
	}
	if row.Error != "" {
		if outcome, err := journal.OutcomeOf(row); err == nil {
			out.Error = outcome.Failure
		}
	}
	if !row.EndedAt.IsZero() {
		out.EndedAt = timestamppb.New(row.EndedAt)
	}
	return out
}
