// Mejora las páginas; sin este guion todo se puede leer igual.
"use strict";

const plain = (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();

function startFilter(box) {
  const items = [...document.getElementById(box.dataset.filter).children];
  const status = document.querySelector("[data-filter-status]");
  const input = box.querySelector("input");
  const words = new Map(items.map((item) => [item, plain(`${item.textContent} ${item.dataset.words}`)]));
  const apply = () => {
    const asked = plain(input.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      item.hidden = !asked.every((word) => words.get(item).includes(word));
      shown += item.hidden ? 0 : 1;
    }
    status.textContent = !asked.length ? "" : shown === 0 ? "Ningún tema tiene esas palabras. Pruebe con otra."
      : shown === 1 ? "Un tema." : `${shown} temas.`;
  };
  input.addEventListener("input", apply);
  box.hidden = false;
  apply();
}

function startQuiz(quiz) {
  const questions = [...quiz.querySelectorAll("[data-answer]")];
  const button = document.createElement("button");
  const status = document.createElement("p");
  button.type = "button";
  button.className = "boton";
  button.textContent = "Comprobar mis respuestas";
  status.setAttribute("role", "status");
  quiz.append(button, status);
  for (const question of questions) {
    question.addEventListener("change", () => delete question.dataset.result);
  }
  button.addEventListener("click", () => {
    let right = 0;
    let blank = 0;
    for (const question of questions) {
      const chosen = question.querySelector("input:checked");
      if (!chosen) {
        blank += 1;
        delete question.dataset.result;
        continue;
      }
      const good = chosen.value === question.dataset.answer;
      right += good ? 1 : 0;
      question.dataset.result = good ? "bien" : "mal";
      question.querySelector("details").open = true;
    }
    status.textContent = `Respuestas correctas: ${right} de ${questions.length}.`
      + (blank ? ` Sin responder: ${blank}.` : right === questions.length ? " ¡Muy bien!" : " Lea y vuelva a intentar.");
  });
}

function startMenu(menu) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}

document.querySelectorAll("[data-filter]").forEach(startFilter);
document.querySelectorAll("[data-quiz]").forEach(startQuiz);
document.querySelectorAll("details.temas").forEach(startMenu);
