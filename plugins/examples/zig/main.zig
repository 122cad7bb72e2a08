//! Takes out the header fields by which a sender asks to be told that the mail was read, or holds such mail.
//!
//! The body streams through: the memory that this needs is that of the header.

const std = @import("std");

/// Message disposition notifications (RFC 8098), and what came before them.
const receipts = [_][]const u8{
    "Disposition-Notification-To",
    "Disposition-Notification-Options",
    "Return-Receipt-To",
    "X-Confirm-Reading-To",
};

/// Exit statuses as popgate understands them.
const hold = 10;
const later = 75;

const Settings = struct {
    action: enum { remove, hold } = .remove,
    /// Further fields to take out.
    also: []const []const u8 = &.{},

    fn asks(settings: Settings, name: []const u8) bool {
        for ([_][]const []const u8{ &receipts, settings.also }) |list| {
            for (list) |field| if (std.ascii.eqlIgnoreCase(field, name)) return true;
        }
        return false;
    }
};

pub fn main(init: std.process.Init) !void {
    const arena = init.arena.allocator();
    var output: [4096]u8 = undefined;
    var input: [65536]u8 = undefined;
    var writer = std.Io.File.stdout().writerStreaming(init.io, &output);
    var reader = std.Io.File.stdin().readerStreaming(init.io, &input);
    const settings = try read(arena, init.environ_map.get("POPGATE_SETTINGS") orelse "{}");

    var kept: std.Io.Writer.Allocating = .init(arena);
    var removed: std.Io.Writer.Allocating = .init(arena);
    var name: []const u8 = "";
    var complete = false;
    while (try line(arena, &reader.interface)) |text| {
        const bare = std.mem.trimEnd(u8, text, "\r\n");
        // A line that begins with a space goes on with the field before it.
        const continued = bare.len > 0 and (bare[0] == ' ' or bare[0] == '\t');
        if (!continued) name = std.mem.trim(u8, bare[0 .. std.mem.indexOfScalar(u8, bare, ':') orelse 0], " \t");
        if (!settings.asks(name)) {
            // What the sender says here must not pass for a result of this filter.
            if (!std.ascii.eqlIgnoreCase(name, "X-Receipt-Removed")) try kept.writer.writeAll(text);
        } else if (!continued) {
            try removed.writer.print("X-Receipt-Removed: {s}\r\n", .{name});
        }
        complete = bare.len == 0;
        if (complete) break;
    }
    // Nothing written: the message stays as it is, and its body is not even read.
    if (removed.written().len == 0) return;
    if (settings.action == .hold) end(hold, "it asks for a receipt when it is read", .{});
    try writer.interface.writeAll(removed.written());
    try writer.interface.writeAll(kept.written());
    // Some mail ends in its header; what a filter writes has a whole one.
    if (!complete) try writer.interface.writeAll("\r\n");
    _ = try reader.interface.streamRemaining(&writer.interface);
    try writer.interface.flush();
}

/// The next line with its end, however long it is; null at the end.
fn line(arena: std.mem.Allocator, reader: *std.Io.Reader) !?[]const u8 {
    var text: std.Io.Writer.Allocating = .init(arena);
    _ = try reader.streamDelimiterEnding(&text.writer, '\n');
    // The delimiter stays in the reader.
    if (reader.takeByte()) |end_of_line| {
        try text.writer.writeByte(end_of_line);
    } else |fault| if (fault != error.EndOfStream) return fault;
    return if (text.written().len == 0) null else text.written();
}

/// Ends with an exit status and a reason.
fn end(status: u8, comptime reason: []const u8, arguments: anytype) noreturn {
    std.debug.print(reason ++ "\n", arguments);
    std.process.exit(status);
}

/// Reads the settings: JSON, percent-encoded like all variables. The mail is not to blame for a fault in them.
fn read(arena: std.mem.Allocator, encoded: []const u8) !Settings {
    const json = std.Uri.percentDecodeInPlace(try arena.dupe(u8, encoded));
    const value = std.json.parseFromSliceLeaky(std.json.Value, arena, json, .{}) catch |fault|
        end(later, "the settings are no JSON: {t}", .{fault});
    if (value != .object) end(later, "the settings are no table", .{});
    var settings: Settings = .{};
    var entries = value.object.iterator();
    while (entries.next()) |entry| {
        const key = entry.key_ptr.*;
        if (std.mem.eql(u8, key, "action")) {
            settings.action = std.json.parseFromValueLeaky(@TypeOf(settings.action), arena, entry.value_ptr.*, .{}) catch
                end(later, "`action`: \"remove\" or \"hold\" was expected", .{});
        } else if (std.mem.eql(u8, key, "also")) {
            settings.also = std.json.parseFromValueLeaky([]const []const u8, arena, entry.value_ptr.*, .{}) catch
                end(later, "`also`: a list of names was expected", .{});
        } else {
            end(later, "unknown key `{s}`; there are `action` and `also`", .{key});
        }
    }
    return settings;
}
