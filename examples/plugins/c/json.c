#include "json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 100 };

void text_add(text_t *text, const char *data, size_t len) {
  if (len > text->size - text->len) {
    text->size = (text->len + len) * 2 + 64;
    text->data = realloc(text->data, text->size);
    if (text->data == NULL) abort();
  }
  if (len > 0) memcpy(text->data + text->len, data, len);
  text->len += len;
}

void text_put(text_t *text, const char *literal) { text_add(text, literal, strlen(literal)); }

void text_print(text_t *text, const char *format, ...) {
  char line[128];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text_add(text, line, len < (int)sizeof line ? (size_t)len : sizeof line - 1);
}

void text_quote(text_t *text, const char *data, size_t len) {
  text_put(text, "\"");
  for (size_t n = 0; n < len; n++) {
    unsigned char c = (unsigned char)data[n];
    if (c == '"' || c == '\\') {
      text_put(text, "\\");
      text_add(text, data + n, 1);
    } else if (c < 0x20) {
      text_print(text, "\\u%04x", c);
    } else {
      text_add(text, data + n, 1);
    }
  }
  text_put(text, "\"");
}

// ---------------------------------------------------------------- reading

typedef struct {
  const char *at, *end;
} reader_t;

static bool is_utf8(const char *data, size_t len) {
  const unsigned char *at = (const unsigned char *)data, *end = at + len;
  while (at < end) {
    unsigned char c = *at++;
    size_t more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 4;
    if (more == 4 || (size_t)(end - at) < more) return false;
    unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    for (size_t n = 0; n < more; n++, at++) {
      if (*at < (n == 0 ? low : 0x80) || *at > (n == 0 ? high : 0xbf)) return false;
    }
  }
  return true;
}

static void skip_space(reader_t *reader) {
  while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL && *reader->at != '\0') reader->at++;
}

static bool take(reader_t *reader, char c) {
  if (reader->at == reader->end || *reader->at != c) return false;
  reader->at++;
  return true;
}

static bool take_word(reader_t *reader, const char *word) {
  size_t len = strlen(word);
  if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0) return false;
  reader->at += len;
  return true;
}

static void add_character(text_t *text, uint32_t c) {
  char bytes[4];
  size_t len = 0;
  if (c < 0x80) {
    bytes[len++] = (char)c;
  } else if (c < 0x800) {
    bytes[len++] = (char)(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    bytes[len++] = (char)(0xe0 | c >> 12);
    bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
  } else {
    bytes[len++] = (char)(0xf0 | c >> 18);
    bytes[len++] = (char)(0x80 | (c >> 12 & 0x3f));
    bytes[len++] = (char)(0x80 | (c >> 6 & 0x3f));
  }
  if (c >= 0x80) bytes[len++] = (char)(0x80 | (c & 0x3f));
  text_add(text, bytes, len);
}

static bool take_hex(reader_t *reader, uint32_t *unit) {
  *unit = 0;
  for (int n = 0; n < 4; n++) {
    if (reader->at == reader->end) return false;
    char c = *reader->at++;
    uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
    if (digit == 16) return false;
    *unit = *unit << 4 | digit;
  }
  return true;
}

// What follows `\u`. Half of a pair becomes the character that stands for an unknown one.
static bool take_unicode(reader_t *reader, text_t *text) {
  uint32_t unit, low;
  if (!take_hex(reader, &unit)) return false;
  if (unit >= 0xd800 && unit < 0xdc00) {
    reader_t after = *reader;
    if (take(&after, '\\') && take(&after, 'u') && take_hex(&after, &low) && low >= 0xdc00 && low < 0xe000) {
      *reader = after;
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  add_character(text, unit >= 0xd800 && unit < 0xe000 ? 0xfffd : unit);
  return true;
}

static bool take_string(reader_t *reader, text_t *text) {
  static const char ESCAPES[] = "\"\\/bfnrt", MEANT[] = "\"\\/\b\f\n\r\t";
  if (!take(reader, '"')) return false;
  while (reader->at < reader->end) {
    char c = *reader->at++;
    if (c == '"') return true;
    if ((unsigned char)c < 0x20) return false;
    if (c != '\\') {
      text_add(text, &c, 1);
      continue;
    }
    if (reader->at == reader->end) return false;
    c = *reader->at++;
    if (c == 'u') {
      if (!take_unicode(reader, text)) return false;
      continue;
    }
    const char *found = c == '\0' ? NULL : strchr(ESCAPES, c);
    if (found == NULL) return false;
    text_add(text, MEANT + (found - ESCAPES), 1);
  }
  return false;
}

static bool take_digits(reader_t *reader) {
  const char *from = reader->at;
  while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') reader->at++;
  return reader->at > from;
}

static bool take_number(reader_t *reader, double *number) {
  const char *from = reader->at;
  (void)take(reader, '-');
  if (!take(reader, '0') && !take_digits(reader)) return false;
  if (take(reader, '.') && !take_digits(reader)) return false;
  if (take(reader, 'e') || take(reader, 'E')) {
    if (!take(reader, '-')) (void)take(reader, '+');
    if (!take_digits(reader)) return false;
  }
  char digits[64] = {0};
  size_t len = (size_t)(reader->at - from);
  memcpy(digits, from, len < sizeof digits ? len : sizeof digits - 1);
  *number = strtod(digits, NULL);
  return true;
}

static json_t *take_value(reader_t *reader, int depth) {
  json_t *value = calloc(1, sizeof *value);
  if (value == NULL || depth > MOST_DEPTH) return NULL;
  skip_space(reader);
  if (reader->at == reader->end) return NULL;
  char c = *reader->at;
  if (c == '"') {
    value->kind = JSON_STRING;
    return take_string(reader, &value->text) ? value : NULL;
  }
  if (c == '{' || c == '[') {
    value->kind = c == '{' ? JSON_OBJECT : JSON_LIST;
    char end = c == '{' ? '}' : ']';
    json_t **last = &value->first;
    reader->at++;
    skip_space(reader);
    if (take(reader, end)) return value;
    do {
      text_t key = {0};
      skip_space(reader);
      if (c == '{') {
        if (!take_string(reader, &key)) return NULL;
        skip_space(reader);
        if (!take(reader, ':')) return NULL;
      }
      if ((*last = take_value(reader, depth + 1)) == NULL) return NULL;
      (*last)->key = key;
      last = &(*last)->next;
      skip_space(reader);
    } while (take(reader, ','));
    return take(reader, end) ? value : NULL;
  }
  if (take_word(reader, "null")) return value;
  if (take_word(reader, "true") || take_word(reader, "false")) {
    value->kind = JSON_BOOL;
    return value;
  }
  value->kind = JSON_NUMBER;
  return take_number(reader, &value->number) ? value : NULL;
}

json_t *json_parse(const char *data, size_t len) {
  reader_t reader = {data, data + len};
  if (!is_utf8(data, len)) return NULL;
  json_t *value = take_value(&reader, 0);
  skip_space(&reader);
  return reader.at == reader.end ? value : NULL;
}

json_t *json_get(json_t *value, const char *key) {
  if (value == NULL || value->kind != JSON_OBJECT) return NULL;
  for (json_t *member = value->first; member != NULL; member = member->next) {
    if (member->key.len == strlen(key) && memcmp(member->key.data, key, member->key.len) == 0) return member;
  }
  return NULL;
}

json_t *json_first(json_t *value) { return value != NULL && value->kind == JSON_LIST ? value->first : NULL; }

text_t *json_string(json_t *value) { return value != NULL && value->kind == JSON_STRING ? &value->text : NULL; }

bool json_count(json_t *value, uint64_t *count) {
  if (value == NULL || value->kind != JSON_NUMBER || value->number < 0 || value->number >= 9007199254740992.0) return false;
  *count = (uint64_t)value->number;
  return (double)*count == value->number;
}
