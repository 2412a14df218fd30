package gateway

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sandgate/sandgate/gateway/audit"
	"github.com/sandgate/sandgate/gateway/identity"
	sandgatev1 "github.com/sandgate/sandgate/proto/sandgate/v1"
	"github.com/sandgate/sandgate/proto/sandgate/v1/sandgatev1connect"
)

// ReasonTokenTooWide is that of a token which nobody may make. It is part of the API.
const ReasonTokenTooWide = "TOKEN_TOO_WIDE" //nolint:gosec // no credential

// Minter makes tokens. *identity.Gate is one.
type Minter interface {
	// NewToken makes a token that may do a part of what its maker may. Its error is for the maker.
	NewToken(maker *identity.Principal, narrow identity.Narrow) (text string, made *identity.Principal, err error)
}

// RegisterIdentity adds IdentityService to a registry. Sessions are asked whether one that a token
// names is its maker's.
func RegisterIdentity(r *Registry, minter Minter, sessions *Sessions) {
	s := &identities{registry: r, minter: minter, sessions: sessions}
	Unary(r, sandgatev1connect.IdentityServiceWhoAmIProcedure, s.whoAmI)
	Unary(r, sandgatev1connect.IdentityServiceCreateTokenProcedure, s.createToken)
}

// identities serve IdentityService.
type identities struct {
	registry *Registry
	minter   Minter
	sessions *Sessions
}

func (s *identities) whoAmI(ctx context.Context, _ *sandgatev1.WhoAmIRequest) (*sandgatev1.WhoAmIResponse, error) {
	return &sandgatev1.WhoAmIResponse{Principal: described(principalOf(ctx))}, nil
}

func (s *identities) createToken(ctx context.Context, req *sandgatev1.CreateTokenRequest) (*sandgatev1.CreateTokenResponse, error) {
	maker := principalOf(ctx)
	if id := req.GetSessionId(); id != "" {
		if err := s.sessions.has(maker, id); err != nil {
			return nil, err
		}
	}
	for _, tool := range req.GetTools() {
		if known, _ := s.registry.tool(tool); known == nil && s.registry.catalog.Tool(tool) == nil {
			return nil, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument, "ListTools shows those that there are.", "tools: there is none named %q", tool)
		}
	}
	for _, scope := range req.GetScopes() {
		if !slices.Contains(s.registry.catalog.Scopes(), scope) {
			return nil, Errorf(connect.CodeInvalidArgument, ReasonInvalidArgument,
				"There are: "+strings.Join(s.registry.catalog.Scopes(), ", ")+".", "scopes: there is none named %q", scope)
		}
	}
	text, made, err := s.minter.NewToken(maker, identity.Narrow{
		Session: req.GetSessionId(), Scopes: req.GetScopes(), Tools: req.GetTools(), Life: req.GetLifetime().AsDuration(),
		Budget: identity.Budget{
			Calls: req.GetBudget().GetCalls(), CPUSeconds: req.GetBudget().GetCpuSeconds(), OutputBytes: req.GetBudget().GetOutputBytes(),
		},
	})
	if errors.Is(err, identity.ErrDeep) {
		return nil, Error(connect.CodeInvalidArgument, ReasonInvalidArgument, "Make it with a key, or with a token that has no budget.", err)
	}
	if err != nil {
		return nil, Error(connect.CodePermissionDenied, ReasonTokenTooWide, "Ask for scopes and tools that WhoAmI shows.", err)
	}
	err = auditorOf(ctx).Record(ctx, audit.Event{
		Kind: audit.TokenCreate, Tenant: made.Tenant, Key: made.ID, Session: shown(made.Session), Detail: "made by " + cmp.Or(maker.ID, "anyone"),
	})
	if err != nil {
		return nil, errUnaudited(err)
	}
	return &sandgatev1.CreateTokenResponse{Token: text, Principal: described(made)}, nil
}

// has returns nil where a session is there that somebody may use.
func (s *Sessions) has(p *identity.Principal, id string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, err := s.known(p, id)
	return err
}

// described returns a principal as the API shows it.
func described(p *identity.Principal) *sandgatev1.Principal {
	out := &sandgatev1.Principal{
		Tenant: p.Tenant, Id: p.ID, Scopes: p.Scopes, AllScopes: p.Scopes == nil, Tools: p.Tools, AllTools: p.Tools == nil, SessionId: p.Session,
	}
	if !p.Expires.IsZero() {
		out.ExpiresAt = timestamppb.New(p.Expires)
	}
	return out
}
